from __future__ import annotations

from edge_avsc.backends._progress import BuildProgress


def test_nested_phases_become_one_share_that_only_grows() -> None:
    told: list[tuple[str, float]] = []
    progress = BuildProgress("audio", lambda what, share: told.append((what, share)))
    progress.begin("engine", None, 4)
    progress.step("engine")
    progress.begin("optimise", "engine", 2)
    progress.step("optimise")
    progress.begin("tactics", "optimise", 10)
    for _ in range(5):
        progress.step("tactics")
    progress.end("tactics")
    progress.step("optimise")
    progress.end("optimise")
    progress.step("engine")
    shares = [share for _, share in told]
    assert {what for what, _ in told} == {"audio"}
    assert shares == sorted(shares)
    assert shares[:2] == [0.25, 0.375]
    assert shares[6] == 0.25 + 0.25 * (0.5 + 0.5 * 0.5)
    assert shares[-1] == 0.5


def test_a_phase_may_take_more_steps_than_it_said_or_be_unknown() -> None:
    told: list[float] = []
    progress = BuildProgress("audio", lambda what, share: told.append(share))
    progress.step("unknown")
    progress.begin("engine", None, 0)
    for _ in range(3):
        progress.step("engine")
    progress.end("engine")
    progress.end("engine")
    progress.step("engine")
    assert told == [1.0, 1.0, 1.0]
