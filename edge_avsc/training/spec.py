"""What avsc-lite expects: its two front ends and the sizes of its embeddings."""

from __future__ import annotations

from edge_avsc.bundle import AudioFrontEnd, AudioNormalisation, ImageFrontEnd, ImageNormalisation

# The bands and the window of the sound teacher, whose parts are learnt one by one; its floor less the 6 dB that its
# pre-emphasis gives the highest bands, and more. Mean and scale are its own.
AUDIO = AudioFrontEnd(
    front_end="log_mel",
    sample_rate_hz=32_000,
    channels=1,
    n_fft=3072,
    hop_samples=800,
    n_mels=256,
    fmin_hz=0.0,
    fmax_hz=15_500.0,
    columns=36,
    normalisation=AudioNormalisation(floor=1e-6, mean=-4.5, scale=5.0),
)

# The normalisation that EfficientNet-Lite's ImageNet weights were trained with: (x - 127) / 128.
IMAGE = ImageFrontEnd(
    size_px=192,
    frames_per_s=2,
    normalisation=ImageNormalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
)

AUDIO_FEATURES = 128
IMAGE_FEATURES = 128
