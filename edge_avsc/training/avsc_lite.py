"""The steps that make the bundle ``avsc-lite``, each kept in a work folder and not done twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy import float32, float64
from numpy.typing import NDArray

from edge_avsc.training import experts, pairs, pictures, sounds
from edge_avsc.training.bundling import FALSE_ALARMS, Ingredients, write_bundle
from edge_avsc.training.classes import LABELS, NONE
from edge_avsc.training.fusion import FusionHead
from edge_avsc.training.networks import AudioClassifier, AudioEncoder, ImageClassifier, ImageEncoder, lite0_weights
from edge_avsc.training.picture_data import Pictures, read_pictures
from edge_avsc.training.pictures import to_input
from edge_avsc.training.recordings import Windows, read_windows
from edge_avsc.training.schedule import load_average
from edge_avsc.training.sound_data import Recordings, Views, media_below, read_recordings
from edge_avsc.training.teachers import SoundTeacher

Weights: TypeAlias = NDArray[float64]


@dataclass(frozen=True)
class Plan:
    """How much is trained; the minutes bound each run, whatever the machine."""

    picture_epochs: float = 12.0
    picture_minutes: float = 60.0
    sound_shards: int = 28
    sound_epochs: float = 12.0
    sound_minutes: float = 40.0
    seed: int = 1


class Workshop:
    """Data, steps and their results.

    data: the folder of recordings, pictures and teachers. work: where results between steps are kept.
    more_sound: further folders of unlabelled sound.
    """

    def __init__(self, data: Path, work: Path, plan: Plan, more_sound: tuple[Path, ...] = ()) -> None:
        self.data, self.work, self.plan, self.more_sound = data, work, plan, more_sound
        work.mkdir(parents=True, exist_ok=True)
        # One thread each: two runs side by side then use two cores, and results do not depend on the machine's number.
        torch.set_num_threads(1)
        cv2.setNumThreads(1)

    @cached_property
    def train_pictures(self) -> Pictures:
        """MiniPlaces' training pictures."""
        return read_pictures(self.data / "images/miniplaces_train.tar", self.work / "miniplaces_train.npz")

    @cached_property
    def val_pictures(self) -> Pictures:
        """MiniPlaces' validation pictures, never trained on."""
        return read_pictures(self.data / "images/miniplaces_val.tar", self.work / "miniplaces_val.npz")

    @cached_property
    def teacher(self) -> SoundTeacher:
        """The sound teacher."""
        return SoundTeacher(self.data / "teachers/cpmobile_dcase23/epoch149.ckpt")

    @cached_property
    def unlabelled(self) -> tuple[Recordings, Recordings]:
        """Unlabelled sound: to train on, and kept out."""
        paths = [path for folder in (self.data / "ambience", *self.more_sound) for path in media_below(folder)]
        return sounds.split(read_recordings(paths, self.work / "ambience.npz"), self.plan.seed)

    def windows(self, split: str) -> Windows:
        """Return the windows of a split of the labelled recordings."""
        return read_windows(self.data / "tau", split, self.work / f"windows_{Path(split).stem}.npz")

    def pictures(self) -> None:
        """Fine-tune the image encoder."""
        torch.manual_seed(self.plan.seed)
        model = self._image_classifier()
        plan = self.plan
        pictures.train(
            model,
            self.train_pictures,
            self.work / "pictures.pt",
            epochs=plan.picture_epochs,
            minutes=plan.picture_minutes,
            seed=plan.seed,
        )

    def lessons(self) -> sounds.Lessons:
        """Draw views of the unlabelled sound and ask the teacher about them."""
        return self._lessons(self.unlabelled[0], self._rarity(), "lessons", self.plan.sound_shards)

    def _lessons(self, recordings: Recordings, weights: Weights | None, name: str, shards: int) -> sounds.Lessons:
        responses = read_recordings(
            media_below(self.data / "teachers/microphone_impulse_responses"), self.work / "responses.npz"
        )
        views = Views(recordings, responses, weights)
        return sounds.lessons(self.teacher, views, self.work / name, shards=shards, seed=self.plan.seed)

    def sound(self) -> None:
        """Train the audio encoder on the lessons."""
        torch.manual_seed(self.plan.seed)
        plan = self.plan
        sounds.train(
            self._audio_classifier(),
            self.lessons(),
            self.work / "sounds.pt",
            epochs=plan.sound_epochs,
            minutes=plan.sound_minutes,
            seed=plan.seed,
        )

    def bundle(self, out: Path, commit: str) -> None:
        """Fit the fusion head, export, quantise, measure, and write the bundle into *out*."""
        image, audio = self._image_classifier(), self._audio_classifier()
        load_average(image, self.work / "pictures.pt")
        load_average(audio, self.work / "sounds.pt")
        seconds = experts.taught_seconds(self.teacher, self.unlabelled[0], self.work / "seconds_train.npz")
        kept_out = experts.taught_seconds(self.teacher, self.unlabelled[1], self.work / "seconds_kept_out.npz")
        strange = self._lessons(self.unlabelled[1], None, "lessons_kept_out", 1)
        made = experts.make_experts(audio, image, seconds, self._rarity(), self.train_pictures, strange)
        head = FusionHead(made)
        heard = experts.embedded(audio.encoder, strange.log_mel)
        seen = experts.embedded(image.encoder, to_input(self.val_pictures.images.astype(float32)))
        paired = pairs.class_pairs(self.val_pictures, strange.maps.mean((2, 3)), self.plan.seed)
        words = experts.words(head, heard[paired.sounds], seen[paired.pictures])
        verdict = pairs.judge_fusions(*words, paired)
        if verdict.trained_is_better:
            head.mix(verdict.weight, verdict.bias)
        ingredients = Ingredients(
            audio=audio.encoder,
            image=image.encoder,
            fusion=head,
            threshold=experts.alarm_threshold(head, seen[self.val_pictures.groups != NONE], FALSE_ALARMS),
            strange=strange,
            pairs=paired,
            verdict=verdict,
            calibration_pictures=self.train_pictures,
            seconds=seconds,
            val_pictures=self.val_pictures,
            kept_out=kept_out,
            sound_windows=self.windows("sound.csv"),
            joint_windows=self.windows("joint.csv"),
            commit=commit,
            seed=self.plan.seed,
        )
        write_bundle(ingredients, self.work / "export", out)

    def _image_classifier(self) -> ImageClassifier:
        return ImageClassifier(ImageEncoder(lite0_weights()), len(self.train_pictures.names))

    def _audio_classifier(self) -> AudioClassifier:
        return AudioClassifier(AudioEncoder(), len(LABELS))

    def _rarity(self) -> Weights:
        path = self.work / "rarity.npy"
        if not path.is_file():
            np.save(path, sounds.rarity(self.teacher, self.unlabelled[0]))
        weights: Weights = np.load(path)
        return weights
