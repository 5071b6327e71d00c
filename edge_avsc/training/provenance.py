"""What avsc-lite learnt from, and under which licences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def provenance(commit: str, more_sound: Sequence[str]) -> dict[str, Any]:
    """Return the bundle's ``provenance``; *more_sound* are names of further folders of unlabelled sound."""
    return {
        "data": [
            "MiniPlaces, training pictures (labels by category; groups in edge_avsc/training/classes.py)",
            "unlabelled sound: Pixabay, CC0 and CC BY recordings, Lorient urban soundscapes, vehicles passing by, "
            "ESC-10" + "".join(f", {name}" for name in more_sound),
            "impulse responses of microphones, for augmentation",
            "the sound of 64 recordings of TAU Urban Audio-Visual Scenes 2021, TAU Urban 2020, TUT 2018 and of "
            "Montevideo (urbansas): the shipped audio encoder learnt from all of them; what is quoted of them comes "
            "from encoders that learnt nothing at the location",
            "validation only, never trained on: MiniPlaces validation pictures (they calibrate), the pictures of the "
            "TAU recordings",
        ],
        "teachers": [
            "EfficientNet-Lite0, ImageNet weights (first weights of the image encoder)",
            "SqueezeNet of Places365's categories, urbste/squeezenet_places365 (taught the head a second word on "
            "pictures: what places they show)",
            "CP-Mobile, first place of DCASE 2023 Task 1 (taught the audio encoder); trained on TAU Urban 2022 Mobile, "
            "it may have heard locations of TAU Urban Audio-Visual Scenes 2021, those of the test fold included",
        ],
        "licences": {
            "weights": "CC BY-NC 4.0",
            "EfficientNet-Lite0": "Apache-2.0",
            "MiniPlaces": "MIT Places terms (research)",
            "urbste/squeezenet_places365": "none stated (learnt from Places365: MIT Places terms, research)",
            "ESC-10": "CC BY 3.0",
            "TAU Urban": "free for non-commercial research",
            "ambience": "Pixabay licence, CC0, CC BY",
        },
        "commit": commit,
    }
