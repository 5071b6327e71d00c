"""What may be written for the verbs of research: evaluate, compare, train."""

from __future__ import annotations

import argparse

from edge_avsc import arguments


def add_evaluate(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add the verb that scores bundles on a dataset."""
    scores = "score bundles on a dataset in TAU layout as DCASE does, and write a report"
    evaluate = commands.add_parser(
        "evaluate",
        parents=[common],
        help=scores,
        description=arguments.sentence(scores),
        epilog=arguments.EXIT_CODES,
    )
    holds = "a folder with audio/, video/ and evaluation_setup/*.csv"
    evaluate.add_argument("dataset", type=arguments.name, metavar="DATASET", help=holds)
    evaluate.add_argument(
        "--split", metavar="CSV", help="the list of clips (default: fold1_evaluate.csv, all.csv, or the one there is)"
    )
    evaluate.add_argument("--train", metavar="CSV", help="the list of training clips (default: fold1_train.csv)")
    evaluate.add_argument(
        "--labels-from-names", action="store_true", help="take labels that the list lacks from the clips' names"
    )
    evaluate.add_argument(
        "--model",
        action="append",
        type=arguments.name,
        metavar="DIR",
        help="a bundle's folder or shipped name (default: avsc-lite); a second one is compared with the first",
    )
    evaluate.add_argument(
        "--out", type=arguments.name, default="evaluation", metavar="DIR", help="where to write (default: evaluation)"
    )
    evaluate.add_argument(
        "--jobs", type=arguments.jobs, metavar="N", help="processes at a time (default: one for each core)"
    )
    evaluate.add_argument(
        "--label",
        type=arguments.label,
        metavar="AUTHOR_INST",
        help="begins the names of submissions (default: the bundle's name)",
    )
    evaluate.add_argument(
        "--check",
        action="store_true",
        help="score nothing: look for files that are missing or cut, for labels that the model lacks, and for leaks",
    )
    _add_stream(evaluate)


def _add_stream(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--stream",
        action="store_true",
        help="measure the running label instead: clips spliced into one recording, played under many smoother settings",
    )
    evaluate.add_argument(
        "--hours", type=arguments.positive, metavar="H", help="with --stream: how long it is (default: 1)"
    )
    evaluate.add_argument(
        "--stay-s", type=arguments.positive, metavar="S", help="with --stream: how long a scene lasts (default: 60)"
    )
    evaluate.add_argument("--seed", type=arguments.seed, metavar="N", help="with --stream: of its order (default: 0)")


def add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb that compares systems' outputs."""
    holds = "hold systems' outputs against the right labels, each alone, together and in pairs"
    compare = commands.add_parser(
        "compare", parents=[common], help=holds, description=arguments.sentence(holds), epilog=arguments.EXIT_CODES
    )
    compare.add_argument(
        "outputs", nargs="*", type=arguments.name, metavar="OUTPUT.csv", help="filename, scene_label, probabilities"
    )
    compare.add_argument(
        "--reference", type=arguments.name, metavar="CSV", help="the right labels: filename, scene_label"
    )
    compare.add_argument(
        "--floor", type=arguments.share, metavar="P", help="a floor for probabilities (default: chosen by halves)"
    )
    compare.add_argument(
        "--table", type=arguments.name, metavar="CSV", help="more columns, such as parameters, for each system"
    )
    compare.add_argument(
        "--spearman",
        nargs=2,
        action="append",
        default=[],
        metavar="COLUMN",
        help="correlate two columns: rank, log_loss, accuracy, or one of --table; may be given again",
    )
    compare.add_argument(
        "--out", type=arguments.name, metavar="DIR", help="write the tables there too, as CSV and JSON"
    )


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb that makes bundles."""
    makes = "train a recipe on a dataset, or on a folder of your own scenes, and write a bundle"
    train = commands.add_parser(
        "train", parents=[common], help=makes, description=arguments.sentence(makes), epilog=arguments.EXIT_CODES
    )
    train.add_argument(
        "recipe", type=arguments.name, metavar="RECIPE", help="a shipped recipe's name, or a file; 'list' lists them"
    )
    train.add_argument(
        "dataset",
        type=arguments.name,
        nargs="?",
        metavar="DATASET",
        help="a folder with evaluation_setup/*.csv; for own-scenes one of LABEL/RECORDINGS",
    )
    train.add_argument(
        "--out", type=arguments.name, metavar="DIR", help="the bundle's folder (default: trained/RECIPE)"
    )
    train.add_argument(
        "--keep-labels", action="store_true", help="own-scenes: keep the bundle's labels, and add the folder's to them"
    )
    train.add_argument(
        "--model", type=arguments.name, metavar="DIR", help="own-scenes: the bundle to build upon (default: avsc-lite)"
    )
    train.add_argument("--train", metavar="CSV", help="the list to train on (default: fold1_train.csv)")
    train.add_argument(
        "--cache", type=arguments.name, metavar="DIR", help="where features are kept (default: OUT/training)"
    )
    train.add_argument("--from-scratch", action="store_true", help="load no known weights")
    train.add_argument(
        "--reduced", action="store_true", help="a small form from scratch, to check the machinery, never for results"
    )
    train.add_argument(
        "--jobs", type=arguments.jobs, metavar="N", help="processes and threads (default: one for each core)"
    )
