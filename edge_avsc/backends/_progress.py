"""How far a build is: TensorRT tells of nested phases, a person wants one number that only grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Report = Callable[[str, float], None]
"""Is told what is being built and how far it is, 0..1."""


@dataclass(slots=True)
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class BuildProgress:
    """Turns phases into a share of the whole, for *report*."""

    def __init__(self, what: str, report: Report) -> None:
        self._what = what
        self._report = report
        self._phases: dict[str, _Phase] = {}
        self._most = 0.0

    def begin(self, phase: str, parent: str | None, steps: int) -> None:
        """Take in that a phase of so many steps begins, as part of a step of its parent."""
        self._phases[phase] = _Phase(parent, max(1, steps))

    def step(self, phase: str) -> None:
        """Take in that one step of it is done."""
        if phase in self._phases:
            self._phases[phase].done += 1
        self._tell()

    def end(self, phase: str) -> None:
        """Take in that it is over."""
        self._phases.pop(phase, None)

    def _tell(self) -> None:
        outermost = next((name for name, phase in self._phases.items() if phase.parent is None), None)
        if outermost is not None:
            self._most = max(self._most, min(1.0, self._share(outermost)))
            self._report(self._what, self._most)

    def _share(self, name: str) -> float:
        phase = self._phases[name]
        inner = [self._share(other) for other, one in self._phases.items() if one.parent == name]
        return min(1.0, (phase.done + max(inner, default=0.0)) / phase.steps)


def monitor(trt: Any, progress: BuildProgress, cancelled: Callable[[], bool]) -> Any:
    """Return TensorRT's own kind of progress monitor, or None where the version has none."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the base class comes at run time
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            progress.begin(phase, parent, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            progress.step(phase)
            return not cancelled()

        def phase_finish(self, phase: str) -> None:
            progress.end(phase)

    return _Monitor()
