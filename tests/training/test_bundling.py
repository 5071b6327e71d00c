from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("onnx")
pytest.importorskip("torch")

import torch

from edge_avsc.golden import verify
from edge_avsc.model import SceneModel
from edge_avsc.training.bundling import Ingredients, write_bundle
from edge_avsc.training.classes import GROUP_OF_CATEGORY, GROUPS, LABELS
from edge_avsc.training.experts import TaughtSeconds
from edge_avsc.training.folds import FOLDS
from edge_avsc.training.heads import Material
from edge_avsc.training.networks import AudioClassifier, AudioEncoder
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.recordings import Clip, Windows
from edge_avsc.training.sounds import Field, Lessons
from edge_avsc.training.spec import AUDIO, IMAGE
from edge_avsc.training.versions import Trials

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]

CATEGORIES = [*GROUP_OF_CATEGORY, "lobby"]
RANDOM = np.random.default_rng(1)


class SmallPictures(torch.nn.Module):  # type: ignore[misc]
    """What bundling needs of an ImageClassifier, in a hundredth of the time."""

    def __init__(self) -> None:
        super().__init__()
        layers = (torch.nn.Conv2d(3, 128, 16, 16), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.encoder = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(128, len(CATEGORIES))


def pictures(each: int) -> Pictures:
    images = RANDOM.integers(0, 255, (each * len(CATEGORIES), 32, 32, 3), np.uint8)
    return Pictures(images, np.tile(np.arange(len(CATEGORIES)), each), CATEGORIES)


def columns(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return RANDOM.standard_normal((n, AUDIO.columns, AUDIO.n_mels), np.float32)


def windows(names: list[str], with_pictures: bool) -> Windows:
    labels = [LABELS.index(name.split("-")[0]) for name in names]
    shape = (2 * len(names), 2, 3, IMAGE.size_px, IMAGE.size_px)
    seen = RANDOM.standard_normal(shape, np.float32) if with_pictures else None
    return Windows(columns(2 * len(names)), seen, np.repeat(labels, 2), np.repeat(np.arange(len(names)), 2), names)


def taught(n: int) -> TaughtSeconds:
    names = [f"Rooster_{i}" if i % 3 == 0 else f"street_{i}" for i in range(n)]
    return TaughtSeconds(columns(n), RANDOM.standard_normal((n, 10), np.float32), names)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    run = {"began_with": "nothing", "steps": 1, "minutes": 1.0}
    longer = {"began_with": "what unlabelled sound taught", "steps": 2, "minutes": 2.0, "processes": 2}
    views = 60
    strange = Lessons(
        columns(views).astype(np.float16),
        np.zeros((views, 1, 1), np.float16),
        RANDOM.standard_normal((views, 10), np.float32),
        np.arange(views) % 30,
    )
    field = Field(strange, np.arange(views) % len(LABELS), np.arange(views) % FOLDS)
    sound = windows([f"{label}-city-{i}-1" for i, label in enumerate(LABELS)], False)
    joint = windows([f"street_traffic-city-{20 + i}-1" for i in range(5)], True)
    shown = pictures(2)
    places = RANDOM.standard_normal((len(shown.images), 365), np.float32)
    made = Ingredients(
        image=SmallPictures().eval(),
        audio=AudioClassifier(AudioEncoder(), len(LABELS), 7).eval(),
        fold_audios=[AudioClassifier(AudioEncoder(), len(LABELS), 7).eval() for _ in range(FOLDS)],
        material=Material(
            taught(30), field, taught(30), strange, shown, places, [1 / len(GROUPS)] * len(GROUPS), pictures(4)
        ),
        trials=Trials(sound, joint, sound.clips % FOLDS, joint.clips % FOLDS),
        clips=[
            Clip("a.mp4", "park", columns(3), None),
            Clip("b.mp4", "park (doubtful)", sound.log_mel, joint.pictures),
        ],
        training={
            "pictures": [{**run, "taken_over": True}, run],
            "narrow": [longer],
            "sounds": [run],
            "sounds_all": [run, longer],
        },
        commit="0" * 40,
        seed=1,
    )
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(made, folder / "work", folder / "out")
    return folder / "out"


def test_a_bundle_of_any_weights_loads_and_holds_its_own_golden_values(bundle: Path) -> None:
    assert SceneModel.load(bundle).labels == LABELS
    assert len(list(verify(bundle))) == 2


def test_the_card_has_every_row_and_both_pictures(bundle: Path) -> None:
    card = (bundle / "README.md").read_text(encoding="utf-8")
    for title in (
        "pictures, 8 groups",
        "ten classes: sound",
        "street traffic: both",
        "class pairs: pictures",
        "the average of these runs ships), taken over as an earlier bundle has them",
        "pictures with fewer channels, in weights of int8, from what unlabelled sound taught on, 2 steps in ",
        "unlabelled sound, from nothing on, 1 steps in 1.0 minutes; ",
        "the recordings' sound, from nothing on, 1 steps in 1.0 minutes and from what unlabelled sound taught on, "
        "2 steps in 2.0 minutes by 2 processes (the average of these runs ships)",
        "a.mp4",
        "Running label",
    ):
        assert title in card
    assert "{" not in card
    for name in ("confusion.png", "reliability.png"):
        assert (bundle / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in card
