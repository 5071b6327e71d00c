"""A recipe that trains in seconds: all that training does, at little cost."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "name": "tiny",
    "note": "A little system of both modalities, to check the machinery.",
    "sound": {
        "front_end": ["log_mel"],
        "mix": "left_right",
        "sample_rate_hz": 16000,
        "n_fft": 512,
        "hop_samples": 400,
        "n_mels": 16,
        "fmax_hz": 8000,
        "networks": [{"kind": "fcnn", "widths": [8, 16], "depth": 1}],
    },
    "picture": {"size_px": 24, "backbones": [{"kind": "small", "widths": [8, 16]}]},
    "fusion": {"kind": "early", "widths": [16], "dropout": 0.1},
    "augmentation": {"mixup": 0.2, "spec_augment": True, "channel_confusion": 0.5, "random_resized_crop": 0.9},
    "training": {
        "batch": 8,
        "learning_rate": 0.005,
        "validation_share": 0.3,
        "stages": [
            {"epochs": 4, "losses": {"both": 1, "audio": 1, "video": 1}},
            {"epochs": 2, "losses": {"both": 1}, "only": ["joint"]},
        ],
    },
}
