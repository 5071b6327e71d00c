"""The run: stages of epochs, early stopping on the validation log-loss; stopped at any moment, it goes on the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float64, int64
from numpy.typing import NDArray
from tqdm import tqdm

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.metrics import sample_losses
from edge_avsc.training.recipes.augmentation import augmented
from edge_avsc.training.recipes.logs import Logs
from edge_avsc.training.recipes.material import Embedded, Material, ahead, in_order, shuffled
from edge_avsc.training.recipes.settings import Recipe, Stage
from edge_avsc.training.recipes.system import Batch, System, choose

SAVE_EVERY_STEPS = 200


@dataclass
class Progress:
    """Where a run is: the next step of an epoch of a stage, and the best that its stage has seen."""

    stage: int = 0
    epoch: int = 0
    step: int = 0
    best: float = math.inf
    best_epoch: int = -1
    losses: list[float] = field(default_factory=list)


class Trainer:
    """Trains a system in *folder*, which holds its state and its logs.

    key: says what the run depends on; a state with another one is not gone on from.
    """

    def __init__(
        self,
        recipe: Recipe,
        system: System,
        train: Material | Embedded,
        validation: Material | Embedded,
        folder: Path,
        device: str,
        key: str,
    ) -> None:
        self.recipe, self.system = recipe, system.to(device)
        self.train, self.validation = train, validation
        self.device, self._key = device, key
        self.progress = Progress()
        self._state = folder / "state.pt"
        self._logs = Logs(folder / "logs")
        self._half = device == "cuda"
        self._scaler = torch.amp.GradScaler(device, enabled=self._half)
        self._optimiser: Any = None
        self._best: dict[str, Any] = {}
        if not len(train) or not len(validation):
            raise ConfigError(
                "There are no windows to train on or to validate with; the list's clips could not be read."
            )

    def run(self) -> Iterator[str]:
        """Train what is left, yield a line for each epoch, and leave the best weights in the system."""
        self._begin_stage()
        if self._state.is_file():
            self._resume()
            yield f"going on at stage {self.progress.stage + 1}, epoch {self.progress.epoch + 1}."
        stages = self.recipe.training.stages
        while self.progress.stage < len(stages):
            yield from self._stage(stages[self.progress.stage])
            if self.progress.best == math.inf:
                raise ConfigError(f"{self.recipe.name}: the loss is no number; lower the learning rate.")
            self.system.load_state_dict(self._best)
            self.progress = Progress(stage=self.progress.stage + 1)
            if self.progress.stage < len(stages):
                self._begin_stage()
            self._save()
        self.system.eval()
        self._logs.close()

    def _begin_stage(self) -> None:
        stage = self.recipe.training.stages[self.progress.stage]
        for name, parameter in self.system.named_parameters():
            parameter.requires_grad_(self._learns(name, stage))
        learning = [p for p in self.system.parameters() if p.requires_grad]
        if not learning:
            raise ConfigError(f"{self.recipe.name}: no layer begins with {' or '.join(stage.only)}; mend 'only'.")
        how = self.recipe.training
        self._optimiser = torch.optim.AdamW(learning, how.learning_rate, weight_decay=how.weight_decay)
        self._best = {key: value.clone() for key, value in self.system.state_dict().items()}

    def _learns(self, name: str, stage: Stage) -> bool:
        if self.recipe.frozen_encoders and not name.startswith("fusion."):
            return False
        return not stage.only or name.startswith(tuple(f"fusion.{only}" for only in stage.only))

    def _stage(self, stage: Stage) -> Iterator[str]:
        how = self.recipe.training
        steps = len(shuffled(len(self.train), how.batch, 0))
        total = steps * stage.epochs
        done = self.progress.epoch * steps + self.progress.step
        with tqdm(total=total, initial=done, desc=f"stage {self.progress.stage + 1}", disable=None) as bar:
            while self.progress.epoch < stage.epochs and self._hopeful():
                self._epoch(stage, steps, bar)
                yield self._judge_epoch(steps)
                self._save()

    def _hopeful(self) -> bool:
        return self.progress.epoch - self.progress.best_epoch <= self.recipe.training.patience

    def _epoch(self, stage: Stage, steps: int, bar: Any) -> None:
        self.system.train()
        for name, module in self.system.named_modules():
            # What does not learn keeps its statistics too.
            if (
                name
                and not any(p.requires_grad for p in module.parameters())
                and any(True for _ in module.parameters())
            ):
                module.eval()
        how, at = self.recipe.training, self.progress
        order = shuffled(len(self.train), how.batch, how.seed, at.stage, at.epoch)
        for batch in ahead(self.train, order[at.step :]):
            # Chance depends on the place in the run alone, so that a run which goes on is the run itself.
            torch.manual_seed(int(np.random.SeedSequence((how.seed, at.stage, at.epoch, at.step)).generate_state(1)[0]))
            self._set_rate((at.epoch * steps + at.step) / (steps * stage.epochs))
            at.losses.append(self._learn(batch.on(self.device), stage))
            at.step += 1
            bar.update()
            if at.step % SAVE_EVERY_STEPS == 0 and at.step < steps:
                self._save()

    def _set_rate(self, done: float) -> None:
        """A linear rise, then half a cosine."""
        how = self.recipe.training
        risen = (done + 1e-3) / (how.warm_up + 1e-3)
        falling = 0.5 * (1 + math.cos(math.pi * (done - how.warm_up) / (1 - how.warm_up)))
        for group in self._optimiser.param_groups:
            group["lr"] = how.learning_rate * (risen if done < how.warm_up else falling)

    def _learn(self, batch: Batch, stage: Stage) -> float:
        targets = torch.nn.functional.one_hot(batch.labels, len(self.system.labels)).float()
        front = self.system.audio.front if self.system.audio else None
        batch, targets = augmented(batch, self.recipe.augmentation, front, targets)
        with torch.autocast(self.device, enabled=self._half):
            loss = self._loss(self._judged(batch), batch, targets, stage)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self.system.parameters(), 5.0)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return float(loss.detach())

    def _judged(self, batch: Batch) -> dict[str, Any]:
        if self.recipe.frozen_encoders:
            audio, image = batch.columns, batch.pictures
        else:
            audio, image = self.system.embed(batch)
        judged: dict[str, Any] = self.system.fusion(audio, image)
        return judged

    def _loss(self, judged: dict[str, Any], batch: Batch, targets: Any, stage: Stage) -> Any:
        heard, seen = batch.heard, batch.seen.sum(1) > 0
        there = {"audio": heard, "video": seen, "both": heard & seen}
        if self.system.audio is None or self.system.image is None:
            there["members"] = seen
        else:
            there["members"] = heard & seen
        total: Any = 0.0
        for name, weight in stage.losses.items():
            if name not in judged:
                raise ConfigError(f"{self.recipe.name}: there is no '{name}' for a loss; it has {', '.join(judged)}.")
            logits = torch.log_softmax(judged[name].float(), -1)
            wanted = targets[:, None] if name == "members" else targets
            losses = -(logits * wanted).flatten(1).sum(1)
            mask = there[name].float()
            total = total + weight * (losses * mask).sum() / mask.sum().clamp(min=1.0)
        return total

    def _judge_epoch(self, steps: int) -> str:
        at = self.progress
        logits = self.judge(self.validation)["given"]
        loss, accuracy = macro(logits, self.validation.label_index)
        learned = float(np.mean(at.losses))
        better = loss < at.best
        if better:
            at.best, at.best_epoch = loss, at.epoch
            self._best = {key: value.clone() for key, value in self.system.state_dict().items()}
        name = f"stage_{at.stage + 1}"
        values = {"loss/train": learned, "log_loss/validation": loss, "accuracy/validation": accuracy}
        values["learning_rate"] = float(self._optimiser.param_groups[0]["lr"])
        self._logs.write({f"{name}/{key}": value for key, value in values.items()}, at.epoch)
        at.epoch, at.step, at.losses = at.epoch + 1, 0, []
        return (
            f"stage {at.stage + 1}, epoch {at.epoch}: loss {learned:.3f}, validation log-loss {loss:.3f}, "
            f"accuracy {accuracy:.1%}{', the best so far' if better else ''}"
        )

    def judge(self, material: Material | Embedded) -> dict[str, NDArray[float64]]:
        """Return the logits ``[n, labels]`` by what windows have ("given"), and by "av", "a" and "v" as they are made.

        Also what is "there", sound and pictures, 1 or 0 ``[n, 2]``, and of an ensemble the probabilities of its
        "members" ``[n, members, labels]``.
        """
        self.system.eval()
        found: dict[str, list[Any]] = {}
        with torch.no_grad():
            for batch in ahead(material, in_order(len(material), self.recipe.training.batch)):
                for name, values in self._parts(batch.on(self.device)).items():
                    found.setdefault(name, []).append(values.float().cpu().numpy().astype(float64))
        return {name: np.concatenate(values) for name, values in found.items()}

    def _parts(self, batch: Batch) -> dict[str, Any]:
        judged = self._judged(batch)
        given = choose(judged, batch.heard, batch.seen.sum(1) > 0, len(self.system.labels))
        there = torch.stack([batch.heard, batch.seen.sum(1) > 0], 1)
        parts = {
            "there": there,
            "given": given,
            "av": judged.get("both"),
            "a": judged.get("audio"),
            "v": judged.get("video"),
        }
        if "members" in judged:
            parts["members"] = torch.softmax(judged["members"], 2)
        return {name: values for name, values in parts.items() if values is not None}

    def _save(self) -> None:
        state = {
            "key": self._key,
            "system": self.system.state_dict(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "progress": vars(self.progress),
        }
        part = self._state.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._state)

    def _resume(self) -> None:
        state = torch.load(self._state, map_location=self.device, weights_only=True)
        if state["key"] != self._key:
            raise ConfigError(
                f"{self._state.parent} holds a run of another recipe or dataset; give --out another folder."
            )
        self.progress = Progress(**state["progress"])
        if self.progress.stage < len(self.recipe.training.stages):
            self._begin_stage()
            self._optimiser.load_state_dict(state["optimiser"])
        self.system.load_state_dict(state["system"])
        self._best = state["best"]
        self._scaler.load_state_dict(state["scaler"])


def macro(logits: NDArray[float64], label_index: NDArray[int64]) -> tuple[float, float]:
    """Return log-loss and accuracy, each the mean of the classes that are there."""
    scaled = np.exp(logits - logits.max(1, keepdims=True))
    losses = sample_losses(label_index, scaled / scaled.sum(1, keepdims=True))
    hits = logits.argmax(1) == label_index
    classes = np.unique(label_index)
    loss, accuracy = (
        float(np.mean([values[label_index == label].mean() for label in classes])) for values in (losses, hits)
    )
    return loss, accuracy
