from __future__ import annotations

from edge_avsc.golden import verify


def test_every_export_of_the_shipped_bundle_computes_here_what_it_should() -> None:
    # Without VNNI, this processor's int8 kernels would lose too much of the export that is TensorRT's.
    lines = list(verify("avsc-lite"))
    assert [line.split(":")[0] for line in lines] == ["avsc-lite cpu", "avsc-lite trt"]
