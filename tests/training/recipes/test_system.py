"""How large the recipes are, and that every kind of fusion judges by what is there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_avsc.errors import ConfigError
from edge_avsc.training.recipes.fusions import FusionNet
from edge_avsc.training.recipes.reading import read_recipe
from edge_avsc.training.recipes.settings import Fusion, Recipe, Sound
from edge_avsc.training.recipes.sound_networks import SoundEncoder
from edge_avsc.training.recipes.system import System, choose, counts, parameters_of
from edge_avsc.training.recipes.trunks import Cnn14, load_weights


def recipe(name: str) -> Recipe:
    found = read_recipe(name)
    assert isinstance(found, Recipe)
    return found


def need_timm() -> None:
    try:
        importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm cannot be imported here: {str(error).splitlines()[0]}")


def test_the_baselines_heads_to_the_unit() -> None:
    parts = counts(recipe("baseline-openl3"))
    assert parts["fusion"] == 711_454
    # OpenL3's own: about 4.7 M each.
    assert parts["audio"] == pytest.approx(4.7e6, rel=0.01)
    assert parts["image"] == pytest.approx(4.7e6, rel=0.01)


def test_naranjo_alcazar_to_the_unit() -> None:
    assert sum(counts(recipe("naranjo-alcazar-uv-3"), statistics=True).values()) == 323_274


def test_ugent_within_two_percent() -> None:
    need_timm()
    system = recipe("hou-ugent-4")
    with torch.device("meta"):
        audio = System(system).audio
    assert audio
    openl3 = parameters_of(audio.networks[0].trunk)
    assert sum(counts(system).values()) - openl3 == pytest.approx(28_329_010, rel=0.02)


@pytest.mark.parametrize(
    ("name", "published"),
    [("zhang-ioa-3", 110e6), ("du-ustc-4", 373e6), ("okazaki-ldsl-vision-4", 636e6), ("yang-thu-3", 121e6)],
)
def test_the_others_within_ten_percent(name: str, published: float) -> None:
    need_timm()
    assert sum(counts(recipe(name)).values()) == pytest.approx(published, rel=0.1)


KINDS: dict[str, dict[str, Any]] = {
    "dense_heads": {"widths": (12, 8, 6)},
    "early": {"widths": (8,)},
    "late": {},
    "hybrid": {"widths": (8,)},
    "transformer": {"heads": 2, "feed_forward": 8},
    "tokens": {"widths": (8,), "heads": 2, "feed_forward": 8},
    "ensemble": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_fusion_judges_by_what_is_there(kind: str) -> None:
    torch.manual_seed(1)
    if kind == "dense_heads":
        settings = Fusion(kind="dense_heads", widths=(16, 128, 8))
    else:
        settings = Fusion.model_validate({"kind": kind, **KINDS[kind]})
    net = FusionNet(settings, [5, 3], [4, 6], 3).eval()
    audio, image = torch.randn(4, 8), torch.randn(4, 10)
    heard, seen = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    with torch.no_grad():
        judged = net(audio, image)
        logits = choose(judged, heard, seen, 3)
    assert torch.equal(logits[0], judged["both"][0])
    assert torch.equal(logits[1], judged["audio"][1])
    assert torch.equal(logits[2], judged["video"][2])
    assert torch.equal(logits[3], torch.zeros(3))
    with torch.no_grad():
        other = choose(net(audio, torch.randn(4, 10)), heard, seen, 3)
    assert torch.equal(other[1], logits[1])
    assert not torch.allclose(other[0], logits[0])


def test_an_ensembles_weights_and_floor_are_of_effect() -> None:
    torch.manual_seed(1)
    net = FusionNet(Fusion(kind="ensemble"), [5], [4, 6], 3).eval()
    audio, image = 9 * torch.randn(4, 5), 9 * torch.randn(4, 10)
    with torch.no_grad():
        before = net(audio, image)
        net.member_weights[0] = 0.0
        net.floor.fill_(0.05)
        after = net(audio, image)
    alone = torch.softmax(after["members"][:, 1], 1).clamp(min=0.05)
    torch.testing.assert_close(
        torch.softmax(after["both"], 1), alone / alone.sum(1, keepdim=True), atol=1e-5, rtol=1e-4
    )
    assert not torch.allclose(before["both"], after["both"])


def test_heads_beside_a_fusion_leave_the_encoders_alone() -> None:
    net = FusionNet(Fusion(kind="early", widths=(8,)), [5], [4], 3)
    audio = torch.randn(4, 5, requires_grad=True)
    net(audio, torch.randn(4, 4))["audio"].sum().backward()
    assert audio.grad is None


def test_missing_weights_are_told_with_the_mend() -> None:
    with pytest.raises(ConfigError, match=r"pip install openl3 h5py.*--from-scratch"):
        System(recipe("baseline-openl3"), load=True)


def test_a_bank_that_is_not_there_is_told() -> None:
    found = recipe("zhang-ioa-3")
    assert found.sound
    changed = found.model_copy(update={"sound": found.sound.model_copy(update={"front_end": ("log_mel",)})})
    with pytest.raises(ConfigError, match="'log_wavelet'"):
        counts(changed)


@pytest.mark.parametrize("name", ["yang-thu-3", "hou-ugent-4", "baseline-openl3", "du-ustc-4"])
def test_no_strided_convolution_of_one_by_one(name: str) -> None:
    """OneDNN (issue 6035) writes outside its memory where such a one learns: a run crashes, or learns nonsense."""
    reduced = read_recipe(name, reduced=True)
    assert isinstance(reduced, Recipe)
    for module in System(reduced).modules():
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1):
            assert module.stride == (1, 1)


SOUND_KINDS: dict[str, dict[str, Any]] = {
    "scse_resnet": {"widths": (4, 8)},
    "conv1d": {"widths": (8, 12), "every": 2},
    "cp_mobile": {"widths": (8, 16, 24)},
    "fcnn": {"widths": (4, 8)},
    "resnet": {"widths": (4, 8)},
    "cnn14": {"scale": 0.02},
    "vggish": {"scale": 0.02},
    "openl3": {"scale": 0.1},
    "sequence": {"of": "fcnn", "widths": (4, 8, 6), "heads": 2},
}


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_each_sound_network_gives_what_it_says_and_learns(kind: str) -> None:
    sound = Sound.model_validate(
        {
            "front_end": ["log_mel", "log_bark"],
            "mix": "average_difference",
            "sample_rate_hz": 16000,
            "n_fft": 512,
            "hop_samples": 200,
            "n_mels": 32,
            "fmax_hz": 8000,
            "networks": [{"kind": kind, "banks": ["log_bark"], **SOUND_KINDS[kind]}],
        }
    )
    encoder = SoundEncoder(sound, load=False)
    columns = torch.randn(4, encoder.front.columns, encoder.front.column_size)
    encoder.fit(columns)
    embedding = encoder(columns)
    assert embedding.shape[0] == 4
    assert embedding.shape[-1] == sum(encoder.sizes)
    assert embedding.dim() == (3 if kind == "sequence" else 2)
    embedding.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in encoder.parameters())
    # Of the bank that was not asked for it hears nothing.
    changed = columns.reshape(4, -1, 2, 2, 32).clone()
    changed[:, :, :, 0] += 1.0
    encoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(changed.reshape(columns.shape)), encoder(columns))


def test_weights_of_a_file_are_loaded_and_one_signal_serves_two(tmp_path: Path) -> None:
    torch.manual_seed(1)
    known = Cnn14(1, 32, 0.02)
    torch.save({"model": {**known.state_dict(), "fc_audioset.weight": torch.zeros(2, 2)}}, tmp_path / "cnn14.pth")
    network = Cnn14(2, 32, 0.02)
    load_weights(network, str(tmp_path / "cnn14.pth"), "cnn14")
    sound = torch.randn(3, 1, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(sound.expand(-1, 2, -1, -1)), known.eval()(sound))
    with pytest.raises(ConfigError, match="does not fit cnn14"):
        load_weights(Cnn14(1, 32, 0.05), str(tmp_path / "cnn14.pth"), "cnn14")
    with pytest.raises(ConfigError, match="name the file where it is"):
        load_weights(network, str(tmp_path / "none.pth"), "cnn14")
