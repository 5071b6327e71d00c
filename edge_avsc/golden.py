"""What a bundle is, and whether it still computes what it did when it was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import read_bundle
from edge_avsc.model import SceneModel, find_bundle


def describe(model: str | Path) -> Iterator[str]:
    """Yield lines that tell a person what a bundle is; ModelError when it is not whole."""
    folder = find_bundle(model)
    bundle = read_bundle(folder)
    audio, image = bundle.audio, bundle.image
    yield f"{bundle.name}: {len(bundle.labels)} scenes: {', '.join(bundle.labels)}"
    yield f"  folder    {folder}"
    yield (
        f"  sound     {audio.sample_rate_hz} Hz, {audio.mix}, {audio.n_mels} bands of {', '.join(audio.banks)}, "
        f"a column every {1000 * audio.hop_samples / audio.sample_rate_hz:g} ms, {audio.columns} columns a window"
    )
    yield f"  pictures  {image.size_px} x {image.size_px}, {image.frames_per_s} a second"
    for kind, graphs in bundle.graphs.items():
        sizes = [
            (part.path, (folder / part.path).stat().st_size) for part in (graphs.audio, graphs.image, graphs.fusion)
        ]
        listed = ", ".join(f"{path} {size / 1e6:.2f} MB" for path, size in sizes)
        yield f"  {kind:9} {sum(size for _, size in sizes) / 1e6:.2f} MB ({listed})"
    for about, licence in bundle.provenance.licences.items():
        yield f"  licence   {about}: {licence}"
    for data in bundle.provenance.data:
        yield f"  data      {data}"
    for teacher in bundle.provenance.teachers:
        yield f"  teacher   {teacher}"
    yield from _measured(bundle.measured)


def verify(model: str | Path) -> Iterator[str]:
    """Score the golden inputs with every export of a bundle on this machine, and yield a line of each.

    Raises ModelError when a probability differs from the float model's by more than the bundle's tolerance.
    """
    folder = find_bundle(model)
    bundle = read_bundle(folder)
    for kind in bundle.graphs:
        # What this processor's int8 kernels lose is no matter of an export that other devices run.
        worst = SceneModel(folder, bundle, OnnxRuntimeBackend(fused=kind == "cpu"), kind).check_parity()
        verdict = f"{bundle.name} {kind}: the largest difference from the float model is {worst:.4f}"
        yield f"{verdict} of at most {bundle.golden.tolerance:g}: good"


def _measured(measured: Any, place: str = "  measured ") -> Iterator[str]:
    if isinstance(measured, dict):
        for key, value in measured.items():
            yield from _measured(value, f"{place} {key}")
    else:
        yield f"{place}: {measured}"
