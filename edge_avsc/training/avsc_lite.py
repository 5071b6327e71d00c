"""The steps that make the bundle ``avsc-lite``, each kept in a work folder and not done twice."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy import float32, float64, int64
from numpy.typing import NDArray

from edge_avsc.bundle import read_bundle
from edge_avsc.errors import ConfigError
from edge_avsc.training import distillation, experts, pictures, sounds, team
from edge_avsc.training.bundling import Ingredients, write_bundle
from edge_avsc.training.classes import LABELS
from edge_avsc.training.earlier import take_up_pictures
from edge_avsc.training.folds import FOLDS, folds_of
from edge_avsc.training.heads import Material
from edge_avsc.training.narrowing import WIDTHS, widths
from edge_avsc.training.networks import AudioClassifier, AudioEncoder, ImageClassifier, ImageEncoder, lite0_weights
from edge_avsc.training.picture_data import Pictures, read_pictures
from edge_avsc.training.places_teacher import taught_places
from edge_avsc.training.plan import Plan
from edge_avsc.training.recordings import Windows, read_clips, read_windows
from edge_avsc.training.schedule import load_average, run_length
from edge_avsc.training.sound_data import (
    FIELD,
    Recordings,
    Views,
    media_below,
    read_recordings,
    seconds_of,
)
from edge_avsc.training.spec import AUDIO, IMAGE
from edge_avsc.training.teachers import FEATURES, SoundTeacher
from edge_avsc.training.versions import Trials
from edge_avsc.training.work_folder import check_same

PLACES_WEIGHTS = Path("teachers/places365_squeezenet/squeezenet_places365_fp32.npz")
FOLDERS = ("images", "teachers", "ambience", "tau", "clips")
STEPS = ("pictures", "narrow", "places", "lessons", "sound", "adapt")
"""The steps before the bundle, in their order; methods of Workshop."""


class Workshop:
    """Data, steps and their results.

    data: the folder of recordings, pictures and teachers. work: where results between steps are kept.
    more_sound: further folders of unlabelled sound. earlier: a bundle whose pictures are learnt on from, if not anew.
    Raises ConfigError where *data* lacks a folder, and where *work* holds what was made of something else.
    """

    def __init__(
        self, data: Path, work: Path, plan: Plan, more_sound: tuple[Path, ...] = (), earlier: Path | None = None
    ) -> None:
        self.data, self.work, self.plan, self.more_sound, self.earlier = data, work, plan, more_sound, earlier
        self._narrow_run = work / "narrow.pt"
        missing = [name for name in FOLDERS if not (data / name).is_dir()]
        if missing:
            raise ConfigError(
                f"{data} has no folder '{missing[0]}'; avsc-lite is made of the folder that models/avsc-lite's card "
                "describes, no TAU dataset."
            )
        team.gather()
        with team.leader_first():
            self._check_work()
        # One thread each: two runs side by side then use two cores, and results do not depend on the machine's number.
        torch.set_num_threads(1)
        cv2.setNumThreads(1)

    def _check_work(self) -> None:
        """Refuse a work folder of another seed or of other material."""
        self.work.mkdir(parents=True, exist_ok=True)
        check_same(
            self.work,
            seed=self.plan.seed,
            data=str(self.data.resolve()),
            more_sound=[str(folder.resolve()) for folder in self.more_sound],
            from_bundle=str(self.earlier.resolve()) if self.earlier else None,
            columns=f"{AUDIO.columns} of {AUDIO.n_mels} bands, of {AUDIO.n_fft} samples each",
        )

    @cached_property
    def train_pictures(self) -> Pictures:
        """MiniPlaces' training pictures."""
        with team.leader_first():
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
        return sounds.split(self._recordings(paths, "ambience.npz"), self.plan.seed)

    @cached_property
    def labelled(self) -> Recordings:
        """The sound of the labelled recordings, of the sound tracks too."""
        paths = [path for folder in ("audio", "video") for path in media_below(self.data / "tau" / folder)]
        return self._recordings(paths, "labelled.npz")

    @cached_property
    def _responses(self) -> Recordings:
        return self._recordings(media_below(self.data / "teachers/microphone_impulse_responses"), "responses.npz")

    def _recordings(self, paths: list[Path], cache: str) -> Recordings:
        with team.leader_first():
            return read_recordings(paths, self.work / cache)

    def windows(self, split: str) -> Windows:
        """Return the windows of a split of the labelled recordings."""
        return read_windows(self.data / "tau", split, self.work / f"windows_{Path(split).stem}_{IMAGE.size_px}px.npz")

    def pictures(self) -> None:
        """Fine-tune the image encoder, as often as is planned, always from the same weights but in another order.

        The average of such runs ships: it is better than any, and more runs help where longer ones learn by heart
        (Wortsman et al. 2022, "Model soups").
        """
        for run, path in enumerate(self._picture_runs()):
            torch.manual_seed(self.plan.seed)
            pictures.train(
                self._image_classifier(),
                self.train_pictures,
                path,
                epochs=self.plan.picture_epochs,
                minutes=self.plan.picture_minutes,
                seed=self.plan.seed + run,
                anew=self.earlier is None,
            )

    def narrow(self) -> None:
        """Narrow the image encoder, where that is planned and not yet done, and teach it what the full width says."""
        plan, path = self.plan, self._narrow_run
        if plan.narrow_minutes and self._narrows(model := self._pictures_as_learnt()):
            distillation.train(model, self.train_pictures, path, minutes=plan.narrow_minutes, seed=plan.seed)

    def _narrows(self, model: ImageClassifier) -> bool:
        return self.plan.narrow_minutes > 0 and widths(model.encoder) != WIDTHS

    def _learnt_pictures(self) -> ImageClassifier:
        model = self._pictures_as_learnt()
        if self._narrows(model):
            distillation.take_up(model, self._narrow_run)
        return model

    def _pictures_as_learnt(self) -> ImageClassifier:
        model = self._image_classifier()
        if self.plan.picture_runs:
            load_average(model, *self._picture_runs())
        elif self.earlier is None:
            raise SystemExit("No run over the pictures is planned: name the bundle that has them by --from-bundle.")
        return model

    def _picture_runs(self) -> list[Path]:
        return [self.work / f"pictures_{run + 1}.pt" for run in range(self.plan.picture_runs)]

    def places(self) -> NDArray[float32]:
        """Ask the teacher what places the training pictures show."""
        shown = self.train_pictures
        with team.leader_first():
            return taught_places(self.data / PLACES_WEIGHTS, shown, self.work / "places.npy")

    def lessons(self) -> sounds.Lessons:
        """Draw views of the unlabelled sound and ask the teacher about them."""
        views = Views(self.unlabelled[0], self._responses, self._rarity())
        return self._lessons(views, "lessons", self.plan.sound_shards)

    def field_lessons(self) -> sounds.Field:
        """Draw views of the labelled recordings, with unlabelled sound behind, and ask the teacher about them."""
        recordings = self.labelled
        places = [i for i, _ in seconds_of(recordings)]
        classes = np.array([LABELS.index(name.split("-")[0]) for name in recordings.names], int64)[places]
        # Half way from each second alike to each class alike.
        weights = 1 / np.sqrt(np.bincount(classes)[classes].astype(float64))
        noise = Views(self.unlabelled[0], self._responses, self._rarity())
        views = Views(recordings, self._responses, weights, place=FIELD, others=noise)
        lessons = self._lessons(views, "lessons_field", self.plan.field_shards)
        folds = folds_of(recordings.names)[places]
        return sounds.Field(lessons, classes[lessons.seconds], folds[lessons.seconds])

    def sound(self) -> None:
        """Train the audio encoder on the lessons of unlabelled sound.

        Always anew: an earlier bundle has heard all recordings, so that nothing measured on them would hold.
        """
        plan = self.plan
        self.field_lessons()
        torch.manual_seed(plan.seed)
        path, minutes = self.work / "sounds.pt", plan.sound_minutes
        model, lessons = self._audio_classifier(), self.lessons()
        sounds.train(model, lessons, self.teacher, path, epochs=plan.sound_epochs, minutes=minutes, seed=plan.seed)

    def adapt(self) -> None:
        """Fine-tune the audio encoder on the labelled recordings: without each fold, for measuring, and on all.

        As often as is planned, and the average of such runs ships, as of pictures.
        """
        known, field, learnt = self.lessons(), self.field_lessons(), self.work / "sounds.pt"
        began_with = f"what {run_length(learnt)['steps']} steps of unlabelled sound taught"
        for run in range(self.plan.adapt_runs):
            for fold in (*range(FOLDS), None):
                model = self._audio_classifier()
                load_average(model, learnt)
                sounds.adapt(
                    model,
                    known,
                    field.without(fold),
                    self.teacher,
                    self._adapted(fold)[run],
                    steps=self.plan.adapt_steps,
                    minutes=self.plan.adapt_minutes,
                    seed=self.plan.seed + run,
                    began_with=began_with,
                )

    def _adapted(self, fold: int | None) -> list[Path]:
        name = "sounds_all" if fold is None else f"sounds_without_{fold}"
        return [self.work / f"{name}_{run + 1}.pt" for run in range(self.plan.adapt_runs)]

    def _lessons(self, views: Views, name: str, shards: int) -> sounds.Lessons:
        return sounds.lessons(self.teacher, views, self.work / name, shards=shards, seed=self.plan.seed)

    def bundle(self, out: Path, commit: str) -> None:
        """Fit the fusion head, export, quantise, measure, and write the bundle into *out*."""
        sound, joint = self.windows("sound.csv"), self.windows("joint.csv")
        fold = dict(zip(self.labelled.names, folds_of(self.labelled.names), strict=True))
        folds = [np.array([fold[name] for name in part.names], int64)[part.clips] for part in (sound, joint)]
        ingredients = Ingredients(
            image=self._learnt_pictures(),
            audio=self._adapted_audio(None),
            fold_audios=[self._adapted_audio(i) for i in range(FOLDS)],
            material=self._material(),
            trials=Trials(sound, joint, *folds),
            clips=read_clips(self.data / "clips"),
            training=self._training(),
            commit=commit,
            seed=self.plan.seed,
            more_sound=tuple(folder.name for folder in self.more_sound),
        )
        write_bundle(ingredients, self.work / "export", out)

    def _material(self) -> Material:
        known, kept_out = self.unlabelled
        return Material(
            seconds=experts.taught_seconds(self.teacher, known, self.work / "seconds_train.npz"),
            field=self.field_lessons(),
            kept_out=experts.taught_seconds(self.teacher, kept_out, self.work / "seconds_kept_out.npz"),
            strange=self._lessons(Views(kept_out, self._responses), "lessons_kept_out", 1),
            train_pictures=self.train_pictures,
            places=self.places(),
            picture_priors=[float(share) for share in pictures.group_shares(self.train_pictures.groups)],
            val_pictures=self.val_pictures,
        )

    def _training(self) -> dict[str, Any]:
        """Return how much was learnt: the steps of each run and its minutes, the pauses of a busy machine included."""
        narrow = [self._narrow_run] if self.plan.narrow_minutes and self._narrow_run.is_file() else []
        heard, adapted = [self.work / "sounds.pt"], self._adapted(None)
        runs = {"pictures": self._picture_runs(), "narrow": narrow, "sounds": heard, "sounds_all": adapted}
        learnt = {} if self.earlier is None else read_bundle(self.earlier).measured["training"]
        taken_over = {name: [{**run, "taken_over": True} for run in learnt.get(name, [])] for name in runs}
        lengths = {name: list(map(run_length, paths)) or taken_over[name] for name, paths in runs.items()}
        return {name: of for name, of in lengths.items() if of}

    def _adapted_audio(self, fold: int | None) -> AudioClassifier:
        audio = self._audio_classifier()
        load_average(audio, *self._adapted(fold))
        return audio

    def _image_classifier(self) -> ImageClassifier:
        model = ImageClassifier(ImageEncoder(lite0_weights()), len(self.train_pictures.names))
        if self.earlier is not None:
            take_up_pictures(model, self.earlier, to_learn_on=self.plan.picture_runs > 0)
        return model

    def _audio_classifier(self) -> AudioClassifier:
        return AudioClassifier(AudioEncoder(), len(LABELS), FEATURES)

    def _rarity(self) -> NDArray[float64]:
        path, (known, _) = self.work / "rarity.npy", self.unlabelled
        with team.leader_first():
            if not path.is_file():
                np.save(path, sounds.rarity(self.teacher, known))
        weights: NDArray[float64] = np.load(path)
        return weights
