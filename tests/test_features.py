from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.bundle import AudioFrontEnd, Bank, ImageFrontEnd
from edge_avsc.features import LogMel, filter_bank, mel_filter_bank, mono, normalised_picture, side, square_picture
from edge_avsc.model import SceneModel


@pytest.fixture
def audio(tiny_model: SceneModel) -> AudioFrontEnd:
    return tiny_model.bundle.audio


@pytest.fixture
def image(tiny_model: SceneModel) -> ImageFrontEnd:
    return tiny_model.bundle.image


def test_filters_are_triangles_that_share_their_corners(audio: AudioFrontEnd) -> None:
    filters = mel_filter_bank(audio)
    assert filters.shape == (audio.n_fft // 2 + 1, audio.n_mels)
    assert filters.min() == 0.0
    assert filters.max() <= 1.0
    # Between the first and the last peak, neighbours add up to one.
    peaks = filters.argmax(axis=0)
    np.testing.assert_allclose(filters[peaks[0] + 1 : peaks[-1]].sum(axis=1), 1.0, atol=1e-5)
    assert (np.diff(peaks) > 0).all()


@pytest.mark.parametrize("tone_hz", [200.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_stands_out_in_its_own_filter(audio: AudioFrontEnd, tone_hz: float) -> None:
    tone = np.sin(2 * np.pi * tone_hz * np.arange(audio.n_fft) / audio.sample_rate_hz).astype(float32)
    column = LogMel(audio).column(tone)
    bin_of_tone = round(tone_hz * audio.n_fft / audio.sample_rate_hz)
    assert abs(int(column.argmax()) - int(mel_filter_bank(audio)[bin_of_tone].argmax())) <= 1
    assert column.dtype == float32


def test_digital_silence_is_the_floor(audio: AudioFrontEnd) -> None:
    norm = audio.normalisation
    column = LogMel(audio).column(np.zeros(audio.n_fft, float32))
    np.testing.assert_allclose(column, (np.log(norm.floor) - norm.mean) / norm.scale, rtol=1e-5)


@given(count=st.integers(0, 4000), seed=st.integers(0, 99))
def test_columns_are_the_whole_ones_each_as_if_alone(tiny_model: SceneModel, count: int, seed: int) -> None:
    log_mel = tiny_model.log_mel
    n_fft, hop = log_mel.front_end.n_fft, log_mel.front_end.hop_samples
    sound = np.random.default_rng(seed).normal(0, 0.1, count).astype(float32)
    columns = log_mel.columns(sound)
    assert len(columns) == len([c for c in range(count) if c * hop + n_fft <= count])
    for c, column in enumerate(columns):
        np.testing.assert_array_equal(column, log_mel.column(sound[c * hop : c * hop + n_fft].copy()))


@given(channels=st.integers(1, 8), seed=st.integers(0, 99))
def test_mono_is_the_mean_whatever_the_block(channels: int, seed: int) -> None:
    sound = np.random.default_rng(seed).normal(0, 0.3, (50, channels)).astype(float32)
    np.testing.assert_allclose(mono(sound), sound.mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(mono(sound), np.concatenate([mono(sound[:13]), mono(sound[13:])]))
    assert mono(sound).dtype == float32


@pytest.mark.parametrize("damage", [np.nan, np.inf, 3.4e38])
def test_mono_of_damaged_samples_is_no_number_and_no_warning(damage: float) -> None:
    sound = np.array([[damage, damage], [damage, -damage], [0.5, 0.5]], float32)
    with np.errstate(all="raise"):
        result = mono(sound)
    assert not np.isfinite(result[0])
    assert result[2] == 0.5


def picture(height: int, width: int) -> NDArray[uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(uint8)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (16, 16), (720, 1280), (1280, 720), (2000, 3), (15, 400)])
def test_any_picture_becomes_the_square(image: ImageFrontEnd, shape: tuple[int, int]) -> None:
    square = square_picture(picture(*shape), image)
    assert square.shape == (image.size_px, image.size_px, 3)
    assert square.dtype == uint8
    assert abs(float(square.mean()) - float(picture(*shape).mean())) < 12


def test_squares_stay_as_they_are(image: ImageFrontEnd) -> None:
    original = picture(image.size_px, image.size_px)
    np.testing.assert_array_equal(square_picture(original, image), original)


def test_pictures_are_normalised_per_channel_planes_first(image: ImageFrontEnd) -> None:
    original = picture(image.size_px, image.size_px)
    prepared = normalised_picture(original, image)
    truth = (original / 255.0 - np.array(image.normalisation.mean)) / np.array(image.normalisation.std)
    np.testing.assert_allclose(prepared, truth.transpose(2, 0, 1), atol=1e-5)
    assert prepared.dtype == float32
    assert prepared.flags.c_contiguous


BANKS: tuple[Bank, ...] = ("log_mel", "log_gammatone", "log_bark", "log_wavelet")


@pytest.mark.parametrize("bank", BANKS)
def test_in_every_bank_a_tone_stands_out_where_its_filter_peaks(audio: AudioFrontEnd, bank: Bank) -> None:
    front_end = audio.model_copy(update={"front_end": bank})
    filters = filter_bank(front_end, bank)
    assert filters.shape == (front_end.n_fft // 2 + 1, front_end.n_mels)
    assert filters.min() >= 0.0
    assert 0.3 < filters.max() <= 1.0
    for tone_hz in (500.0, 1500.0, 5000.0):
        tone = np.sin(2 * np.pi * tone_hz * np.arange(front_end.n_fft) / front_end.sample_rate_hz).astype(float32)
        bin_of_tone = round(tone_hz * front_end.n_fft / front_end.sample_rate_hz)
        assert abs(int(LogMel(front_end).column(tone).argmax()) - int(filters[bin_of_tone].argmax())) <= 1


def test_a_wavelet_band_is_the_wavelets_mean_power() -> None:
    """Parseval: what the filters weigh out of the spectrum is the power of the convolution with the wavelet."""
    front_end = AudioFrontEnd.model_validate({**TWO_SIGNALS, "channels": 1, "mix": "mono", "front_end": "log_wavelet"})
    samples = np.random.default_rng(1).normal(0, 0.1, front_end.n_fft).astype(float32)
    band = np.exp(LogMel(front_end).column(samples))[5]
    response = np.sqrt(filter_bank(front_end, "log_wavelet")[:, 5].astype(np.float64))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(front_end.n_fft) / front_end.n_fft)
    half = np.concatenate([np.fft.rfft(samples * window) * response, np.zeros(front_end.n_fft // 2 - 1)])
    analytic = np.fft.ifft(half)
    assert band == pytest.approx(front_end.n_fft * (np.abs(analytic) ** 2).sum(), rel=1e-3)


TWO_SIGNALS = {
    "front_end": ["log_mel", "log_bark"],
    "sample_rate_hz": 16000,
    "channels": 2,
    "mix": "left_right",
    "n_fft": 512,
    "hop_samples": 400,
    "n_mels": 12,
    "fmin_hz": 20,
    "fmax_hz": 8000,
    "columns": 37,
    "normalisation": {"floor": 1e-9, "mean": 0, "scale": 1},
}


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ("left_right", ("left", "right")),
        ("average_difference", ("average", "difference")),
        ("left_right_difference", ("left", "right", "difference")),
    ],
)
def test_a_column_holds_signal_by_signal_bank_by_bank(mix: str, expected: tuple[str, ...]) -> None:
    front_end = AudioFrontEnd.model_validate({**TWO_SIGNALS, "mix": mix, "channels": len(expected)})
    both = np.random.default_rng(2).normal(0, 0.1, (512, 2)).astype(float32)
    signals = {
        "left": both[:, 0],
        "right": both[:, 1],
        "average": both.mean(axis=1),
        "difference": both[:, 0] - both[:, 1],
    }
    column = LogMel(front_end).column(mono(both), side(both))
    assert column.shape == (front_end.column_size,) == (len(expected) * 24,)
    parts = iter(column.reshape(-1, 12))
    for name in expected:
        for bank in front_end.banks:
            alone = front_end.model_copy(update={"front_end": bank, "channels": 1, "mix": "mono"})
            np.testing.assert_allclose(next(parts), LogMel(alone).column(signals[name]), rtol=1e-3, atol=1e-3)


def test_one_channel_has_no_difference() -> None:
    sound = np.random.default_rng(3).normal(0, 0.1, (8, 1)).astype(float32)
    np.testing.assert_array_equal(side(sound), np.zeros(8))
