"""What avsc-lite expects: its two front ends and the sizes of its embeddings."""

from __future__ import annotations

from edge_avsc.bundle import AudioFrontEnd, AudioNormalisation, ImageFrontEnd, ImageNormalisation

# Floor, mean and scale make the log-mel values of the training sound about zero-mean with unit deviation.
AUDIO = AudioFrontEnd(
    front_end="log_mel",
    sample_rate_hz=32_000,
    channels=1,
    n_fft=2048,
    hop_samples=800,
    n_mels=128,
    fmin_hz=20.0,
    fmax_hz=15_500.0,
    columns=37,
    normalisation=AudioNormalisation(floor=1e-5, mean=-4.5, scale=4.5),
)

# The normalisation that EfficientNet-Lite's ImageNet weights were trained with: (x - 127) / 128.
IMAGE = ImageFrontEnd(
    size_px=192,
    frames_per_s=2,
    normalisation=ImageNormalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
)

AUDIO_FEATURES = 128
IMAGE_FEATURES = 128
