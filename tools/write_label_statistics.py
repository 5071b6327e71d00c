"""Write ``label_statistics.npz`` beside a bundle: what its labels look and sound like to its encoders, as statistics.

``train own-scenes --keep-labels`` rehearses the bundle's labels by them. Any recordings and pictures will do, labelled
or not, if there are enough of each of the bundle's places among them. What is written are counts, a mean embedding for
each label and a covariance, 16-bit floats; write them anew when the bundle's encoders or labels change.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ending import end

from edge_avsc.arguments import count
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.progress import shown
from edge_avsc.evaluation.workers import each_clip
from edge_avsc.model import SceneModel
from edge_avsc.training.own_scenes.embedding import Embedder, Embeddings
from edge_avsc.training.own_scenes.label_statistics import FILE, LEAST, write_label_statistics


def embedded(model: SceneModel, paths: list[Path], jobs: int) -> Iterator[Embeddings]:
    rows = [Row(str(path), path, path, None, str(path), None) for path in paths]
    for scored in shown(each_clip(model.folder, rows, jobs, Embedder), len(rows), "embed", sys.stderr):
        if scored.scores is None:
            print(scored.problem, file=sys.stderr)
        else:
            yield scored.scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="recordings and pictures, or folders of them")
    parser.add_argument("--model", default="avsc-lite", help="a bundle's folder or shipped name")
    parser.add_argument("--jobs", type=count, default=1)
    args = parser.parse_args()
    for path in args.files:
        if not path.exists():
            raise ConfigError(f"There is no file or folder {path}; check the path.")
    model = SceneModel.load(args.model)
    paths = [path for given in args.files for path in (sorted(given.rglob("*")) if given.is_dir() else [given])]
    statistics = write_label_statistics(model, embedded(model, [path for path in paths if path.is_file()], args.jobs))
    for label, name in enumerate(model.labels):
        heard, seen = (statistics[state].counts[label] for state in "av")
        print(f"{name}: {heard} recordings of sound, {seen} of pictures; at least {LEAST} make statistics")
    print(f"{model.folder / FILE}: {(model.folder / FILE).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    end(main)
