"""How fast an evaluation scores clips with one process and with two, turn by turn on the same clips.

The rate is that between the first and the last clip of a turn, so that starting processes has no part in it.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
from pathlib import Path

from ending import end

from edge_avsc.arguments import count
from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row, read_dataset
from edge_avsc.evaluation.workers import score_clips
from edge_avsc.model import find_bundle
from edge_avsc.types import NS_PER_S


def clips_a_second(folder: Path, rows: list[Row], jobs: int) -> tuple[float, float]:
    """Return how many clips a second were scored, and what CPU time, in seconds, each took all in all."""
    clock, before = MonotonicClock(), _cpu_s()
    times_ns = []
    with contextlib.closing(score_clips(folder, rows, jobs)) as scoring:
        for scored in scoring:
            if scored.problem:
                raise ConfigError(scored.problem)
            times_ns.append(clock.now_ns())
    rate = (len(times_ns) - 1) * NS_PER_S / (times_ns[-1] - times_ns[0])
    return rate, (_cpu_s() - before) / len(rows)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="a folder in TAU layout, such as tools/write_dataset.py writes")
    parser.add_argument("--clips", type=count, default=40, help="how many of its clips a turn scores (default 40)")
    parser.add_argument("--turns", type=count, default=3, help="turns with each number of processes (default 3)")
    parser.add_argument("--jobs", type=count, default=2, help="processes to compare with one (default 2)")
    parser.add_argument("--model", default="avsc-lite", help="a bundle (default avsc-lite)")
    chosen = parser.parse_args(arguments)
    rows, folder = list(read_dataset(chosen.dataset).rows[: chosen.clips]), find_bundle(chosen.model)
    if len(rows) < 2:
        raise ConfigError(f"{chosen.dataset} has a single clip here; a rate needs two.")
    ratios = []
    for turn in range(chosen.turns):
        found = {}
        # Who goes first alternates: what else runs on the machine comes and goes.
        for jobs in (1, chosen.jobs) if turn % 2 == 0 else (chosen.jobs, 1):
            found[jobs], cpu_s = clips_a_second(folder, rows, jobs)
            print(f"jobs {jobs}: {found[jobs]:.2f} clips/s, {cpu_s:.2f} s of CPU a clip", flush=True)
        ratios.append(found[chosen.jobs] / found[1])
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{chosen.jobs} processes are {statistics.median(ratios):.2f} times as fast as one ({spread})")
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")
    return 0


if __name__ == "__main__":
    end(main)
