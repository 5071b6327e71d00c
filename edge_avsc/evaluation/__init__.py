"""Evaluation as DCASE does it: datasets in TAU layout, systems' outputs, reports. The live path knows nothing of it."""
