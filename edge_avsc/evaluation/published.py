"""Figures to compare with, as printed by Wang, Heittola, Mesaros and Virtanen, "Audio-visual scene classification:
analysis of DCASE 2021 Challenge submissions" (DCASE 2021 workshop)."""

from __future__ import annotations

BASELINE: dict[str, tuple[float, float]] = {
    "airport": (66.8, 0.963),
    "bus": (85.9, 0.396),
    "metro": (80.4, 0.541),
    "metro_station": (80.8, 0.565),
    "park": (77.2, 0.710),
    "public_square": (71.1, 0.732),
    "shopping_mall": (72.6, 0.839),
    "street_pedestrian": (72.7, 0.877),
    "street_traffic": (89.6, 0.296),
    "tram": (73.1, 0.659),
}
"""The challenge's baseline on the development set (Table 1): accuracy in percent, log-loss; windows of 1 s."""

BASELINE_MEAN = (77.0, 0.658)

SYSTEMS: tuple[tuple[str, float, float, str, str], ...] = (
    ("Zhang_IOA_3", 93.8, 0.195, "110 M", "sound and pictures"),
    ("Du_USTC_4", 93.2, 0.221, "373 M", "sound, pictures and text"),
    ("Okazaki_LDSL_Vision_4", 93.5, 0.257, "636 M", "sound, pictures and CLIP"),
    ("Yang_THU_3", 92.1, 0.279, "121 M", "sound and pictures"),
    ("Okazaki_LDSL_Vision_1", 91.6, 0.312, "not stated", "pictures alone"),
    ("Hou_UGent_4", 85.6, 0.416, "28 M", "sound and pictures"),
    ("Baseline (OpenL3)", 77.1, 0.662, "0.7 M trained, without OpenL3", "sound and pictures"),
    ("Naranjo-Alcazar_UV_3", 66.8, 1.006, "not stated", "sound alone"),
)
"""On the evaluation set, 72,000 windows of 1 s: accuracy in percent, log-loss, parameters, what it is judged by.
The paper prints 0.132 for the fifth's log-loss in its text; its rank says 0.312 (our inference)."""
