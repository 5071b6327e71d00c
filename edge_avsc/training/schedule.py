"""One training run: the learning rate's course, the running average of the weights, saving and resuming."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from edge_avsc.clock import MonotonicClock
from edge_avsc.training import team

NS_PER_MINUTE = 60_000_000_000
SAVE_EVERY_NS = NS_PER_MINUTE


def cosine(done: float, warm_up: float = 0.02) -> float:
    """Return the learning rate's factor after the share *done* of a run: a short linear rise, then half a cosine."""
    if done < warm_up:
        return (done + 1e-3) / (warm_up + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm_up) / (1 - warm_up))))


class Run:
    """Steps an optimiser along the cosine and keeps an average of the weights, which is what the run yields.

    The run ends after *steps* steps or *minutes* minutes, whichever is first; the learning rate's course fits either.
    What is saved in *path* is taken up again when the run is started anew.
    """

    def __init__(
        self,
        model: Any,
        optimiser: Any,
        path: Path,
        *,
        steps: int,
        minutes: float,
        began_with: str = "nothing",
        decay: float = 0.998,
    ) -> None:
        self.model, self.optimiser, self.path, self.began_with = model, optimiser, path, began_with
        self.steps, self.minutes, self.decay = steps, minutes, decay
        self.base_rates = [group["lr"] for group in optimiser.param_groups]
        self.step, self.spent_ns = 0, 0
        self._saved_step: int | None = None
        self.average = {key: value.detach().clone() for key, value in model.state_dict().items()}
        if path.is_file():
            self._resume()
        self._clock = MonotonicClock()
        self._started_ns = self._clock.now_ns() - self.spent_ns
        self._saved_ns = self.spent_ns
        self._bar = tqdm(total=steps, initial=self.step, desc=path.stem, mininterval=5.0)

    def done(self) -> float:
        """Return the share of the run that is over, 1 or more at its end."""
        self.spent_ns = self._clock.now_ns() - self._started_ns
        return team.largest(max(self.step / self.steps, self.spent_ns / (self.minutes * NS_PER_MINUTE)))

    def learn(self, loss: Any) -> None:
        """Make one optimiser step down *loss*'s gradient."""
        factor = cosine(self.done())
        for group, rate in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        team.average_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        self._bar.update()
        if self.spent_ns - self._saved_ns >= SAVE_EVERY_NS:
            self._bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
            self.save()

    def _update_average(self) -> None:
        # A short memory at first, so that the first weights are soon forgotten.
        keep = min(self.decay, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        floating = [key for key, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[key] for key in floating], [now[key] for key in floating], 1 - keep)
        for key in now.keys() - set(floating):
            self.average[key].copy_(now[key])

    def save(self) -> None:
        """Write all that resuming needs; the averaged weights are under the key ``average``."""
        state = {
            "average": self.average,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "began_with": self.began_with,
            "processes": team.SIZE,
            "step": self.step,
            "spent_ns": self.spent_ns,
        }
        self._saved_ns, self._saved_step = self.spent_ns, self.step
        if team.LEADS:
            part = self.path.with_suffix(".part")
            torch.save(state, part)
            part.replace(self.path)

    def _resume(self) -> None:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for key, value in state["average"].items():
            self.average[key].copy_(value)
        self.step, self.spent_ns, self.began_with = state["step"], state["spent_ns"], state["began_with"]
        self._saved_step = self.step

    def finish(self) -> None:
        """Save what is not yet, and leave the averaged weights in the model."""
        self.done()
        if self.step != self._saved_step:
            self.save()
        team.wait()
        self._bar.close()
        self.model.load_state_dict(self.average)
        self.model.eval()


def load_average(model: Any, *paths: Path) -> None:
    """Put the averaged weights of a run, finished or not, into *model*; those of several are averaged once more."""
    runs = [torch.load(path, map_location="cpu", weights_only=True)["average"] for path in paths]
    model.load_state_dict({key: sum(run[key] for run in runs) / len(runs) for key in runs[0]})
    model.eval()


def run_length(path: Path) -> dict[str, Any]:
    """Return a saved run's ``steps``, ``minutes``, ``processes`` (where several) and the weights it ``began_with``."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    minutes = round(state["spent_ns"] / NS_PER_MINUTE, 1)
    length = {"began_with": state["began_with"], "steps": int(state["step"]), "minutes": minutes}
    processes = state.get("processes", 1)  # not said by runs that an earlier version saved
    return length | ({"processes": processes} if processes > 1 else {})
