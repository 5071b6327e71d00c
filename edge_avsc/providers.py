"""What the model may be computed on, as a configuration names it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

Library: TypeAlias = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
Provider: TypeAlias = Literal["cpu", "cuda", "tensorrt", "openvino"]


def _several(given: Any) -> Any:
    several = (given,) if isinstance(given, str) else given
    if not isinstance(several, (list, tuple)) or not several:
        raise ValueError("write the name of a provider, or a list of such names")
    return tuple(several)


_ONE = {"enum": ["cpu", "cuda", "tensorrt", "openvino"], "type": "string"}

Providers: TypeAlias = Annotated[
    tuple[Provider, ...],
    BeforeValidator(_several),
    PlainSerializer(lambda several: several[0] if len(several) == 1 else list(several)),
    WithJsonSchema({"anyOf": [_ONE, {"items": _ONE, "minItems": 1, "type": "array"}]}),
]
"""A single one, which must serve, or a list, of which the first that does is taken."""
