"""The verbs that study recordings: evaluate, compare, train. The live path knows nothing of them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from edge_avsc.errors import ConfigError, complain

if TYPE_CHECKING:
    from edge_avsc.evaluation.datasets import Dataset


def evaluate_dataset(args: argparse.Namespace) -> int:
    """Score bundles on a dataset, or only look for its flaws."""
    from pathlib import Path

    from edge_avsc.evaluation.datasets import read_dataset
    from edge_avsc.evaluation.evaluate import default_jobs, evaluate, open_systems

    dataset = read_dataset(args.dataset, args.split, train=args.train, labels_from_names=args.labels_from_names)
    print(f"{dataset.split}: {len(dataset.rows)} clips", flush=True)
    if args.check:
        from edge_avsc.evaluation.flaws import check

        flaws = -1  # the last line only counts them
        for line in check(dataset, sys.stderr):
            print(line, flush=True)
            flaws += 1
        return ConfigError.exit_code if flaws else 0
    if args.stream:
        return _evaluate_stream(args, dataset)
    if {args.hours, args.stay_s, args.seed} != {None}:
        raise ConfigError("--hours, --stay-s and --seed belong to --stream; add it, or leave them out.")
    systems = open_systems(args.model or ["avsc-lite"], args.label)
    try:
        for line in evaluate(dataset, systems, Path(args.out), args.jobs or default_jobs()):
            print(line, flush=True)
    except KeyboardInterrupt:
        complain(f"what was scored is kept in {args.out}; the same command goes on from there.")
        raise
    return 0


def _evaluate_stream(args: argparse.Namespace, dataset: Dataset) -> int:
    from pathlib import Path

    from edge_avsc.evaluation.evaluate_stream import evaluate_stream
    from edge_avsc.model import SceneModel

    models = args.model or ["avsc-lite"]
    if len(models) > 1:
        raise ConfigError("--stream measures one bundle at a time; give --model once.")
    if args.jobs or args.label:
        raise ConfigError("--stream plays one recording and submits nothing; leave out --jobs and --label.")
    model = SceneModel.load(models[0])
    given = {name: getattr(args, name) for name in ("hours", "stay_s", "seed") if getattr(args, name) is not None}
    for line in evaluate_stream(dataset, model, Path(args.out), **given):
        print(line, flush=True)
    return 0


def compare_outputs(args: argparse.Namespace) -> int:
    """Hold files of outputs against the right labels."""
    from edge_avsc.evaluation.compare import compare_files

    columns = [(first, second) for first, second in args.spearman]
    compare_files(
        args.outputs,
        args.reference,
        floor=args.floor,
        table=args.table,
        spearman=columns,
        out=args.out,
        stream=sys.stdout,
    )
    return 0


def train_recipe(args: argparse.Namespace) -> int:
    """Train a recipe."""
    from edge_avsc.training.recipes.run import run

    try:
        for line in run(args):
            print(line, flush=True)
    except KeyboardInterrupt:
        complain("what was done is kept; the same command goes on from there.")
        raise
    return 0
