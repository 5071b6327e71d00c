"""A head as an ONNX graph: plain operators, opset 17, IR 8, the shipped fusion graph inside where it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy import float64
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from edge_avsc.bundle import Bundle, GraphSpec
from edge_avsc.errors import ModelError
from edge_avsc.training.own_scenes.experts import LEAST_LENGTH, Expert
from edge_avsc.training.own_scenes.head import Head
from edge_avsc.training.own_scenes.judging import CANNOT_TELL, LEAST, STATES, STEEPNESS, Modality

OPSET = 17
IR = 8
_OLDEST = 13


def write_fusion(head: Head, bundle: Bundle, fusion: GraphSpec, shipped: Path, path: Path) -> None:
    """Write the fusion graph of *head* to *path*.

    bundle: what the head is built upon. fusion, shipped: its fusion graph, whose inputs the new one has too.
    Raises ModelError where that graph cannot be built upon.
    """
    scene = head.scene
    build = _Builder()
    if scene.shares:
        build.take_in(shipped)
    _write_head(build, head, bundle)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", fusion.inputs[name].shape[-1]])
        for name in ("audio_embedding", "image_embedding", "present")
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(scene.labels)]),
        helper.make_tensor_value_info("none_logit", TensorProto.FLOAT, ["batch", 1]),
    ]
    graph = helper.make_graph(build.nodes, "own_scenes", inputs, outputs, build.constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", build.opset)], ir_version=IR, producer_name="edge_avsc"
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _write_head(build: _Builder, head: Head, bundle: Bundle) -> None:
    scene, reading = head.scene, head.reading
    build.tell_states()
    parts = {"a": (head.sound, reading.sound), "v": (head.pictures, reading.pictures)}
    said, unlike = [], {}
    for place, (letter, (expert, read)) in enumerate(parts.items()):
        if expert is not None:
            there, embedding = build.given(letter, head)
            word = build.word(expert, read, embedding, len(scene.classes))
            share = build.in_states({state: reading.shares[state][place] for state in STATES})
            said.append(build.add("Where", there, build.add("Mul", word, share), build.constant(0.0)))
            unlike[letter] = build.unlikeness(expert, read, embedding)
    if scene.shares:
        matrix, unknown = scene.shared_selection()
        silence = build.add("Mul", build.in_states(dict(reading.levels)), build.constant(unknown[None]))
        known = build.add("MatMul", build.shipped_word(bundle), build.constant(matrix))
        word = build.add("Log", build.scaled(build.add("Add", known, silence), 1.0, LEAST))
        share = build.in_states({state: reading.shares[state][2] for state in STATES})
        said.append(build.add("Mul", word, share))
    total = said[0]
    for one in said[1:]:
        total = build.add("Add", total, one)
    classes = build.add("Softmax", total, axis=1)
    selection = np.eye(len(scene.classes), len(scene.labels))
    ours = build.add("MatMul", classes, build.constant(selection)) if scene.has_none else classes
    in_all = build.add("ReduceSum", ours, build.constant([1], np.int64), keepdims=1)
    build.add("Log", build.scaled(build.add("Div", ours, in_all), 1.0, 1e-9), name="logits")
    like = build.add("Sigmoid", build.scaled(build.unlike_in_states(unlike, head), -STEEPNESS, 0.0))
    none = build.add("Max", build.scaled(build.add("Mul", like, in_all), -1.0, 1.0), build.constant(0.0))
    odds = build.add(
        "Sub", build.add("Log", build.scaled(none, 1.0, LEAST)), build.add("Log", build.scaled(none, -1.0, 1 + LEAST))
    )
    build.add("Sub", odds, build.in_states(dict(reading.offset)), name="none_logit")


class _Builder:
    """Collects nodes and constants; each method returns the name of the value that it adds."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.opset = OPSET
        self._count = 0
        self._states: dict[str, str] = {}

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add one node with one output."""
        output = name or self._name(operator)
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Add a constant."""
        name = self._name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def affine(self, value: str, matrix: NDArray[float64], row: NDArray[float64]) -> str:
        """Add ``value @ matrix + row``."""
        return self.add("Add", self.add("MatMul", value, self.constant(matrix)), self.constant(row))

    def scaled(self, value: str, factor: float, more: float) -> str:
        """Add ``value * factor + more``."""
        times = value if factor == 1.0 else self.add("Mul", value, self.constant(factor))
        return times if more == 0.0 else self.add("Add", times, self.constant(more))

    def tell_states(self) -> None:
        """Add what is there: sound, pictures, both, each ``[n, 1]``."""
        half = self.constant(0.5)
        for letter, place in (("a", 0), ("v", 1)):
            bounds = [self.constant([bound], np.int64) for bound in (place, place + 1, 1)]
            self._states[letter] = self.add("Greater", self.add("Slice", "present", *bounds), half)
        self._states["av"] = self.add("And", self._states["a"], self._states["v"])

    def in_states(self, by_state: dict[str, float]) -> str:
        """Add a number that depends on what is there, ``[n, 1]``."""
        both, sound, pictures = (self.constant([[by_state[state]]]) for state in ("av", "a", "v"))
        return self.add("Where", self._states["av"], both, self.add("Where", self._states["a"], sound, pictures))

    def given(self, letter: str, head: Head) -> tuple[str, str]:
        """Add an embedding in which what is absent, even NaN, has become 0; return whether it is there, and it."""
        there = self._states[letter]
        name = {"a": "audio_embedding", "v": "image_embedding"}[letter]
        return there, self.add("Where", there, name, self.constant(0.0))

    def word(self, expert: Expert, read: Modality, embedding: str, n_classes: int) -> str:
        """Add an expert's log-probabilities ``[n, n_classes]``."""
        logits = self.affine(embedding, expert.weight / read.temperature, expert.bias / read.temperature)
        spread = np.zeros((len(expert.known), n_classes))
        share = (1.0 - read.floor) * len(expert.known) / n_classes
        spread[np.arange(len(expert.known)), list(expert.known)] = share
        rest = np.full(n_classes, 1.0 / n_classes)
        rest[list(expert.known)] = read.floor / n_classes
        return self.add("Log", self.affine(self.add("Softmax", logits, axis=1), spread, rest))

    def unlikeness(self, expert: Expert, read: Modality, embedding: str) -> str:
        """Add how unlike an embedding is to all that is known, ``[n, 1]``."""
        length = self.scaled(self.add("ReduceL2", embedding, axes=[1], keepdims=1), 1.0, LEAST_LENGTH)
        cosines = self.add("MatMul", self.add("Div", embedding, length), self.constant(expert.prototypes))
        largest = self.add("ReduceMax", cosines, axes=[1], keepdims=1)
        return self.scaled(largest, -1.0 / read.spread, (1.0 - read.middle) / read.spread)

    def unlike_in_states(self, unlike: dict[str, str], head: Head) -> str:
        """Add the unlikeness in the state that is there, ``[n, 1]``."""
        sound, pictures = unlike.get("a"), unlike.get("v")
        if sound is None or pictures is None:
            letter = "v" if sound is None else "a"
            return self.add("Where", self._states[letter], unlike[letter], self.constant([[CANNOT_TELL]]))
        reading = head.reading
        mean = self.scaled(self.add("Add", sound, pictures), 0.5 / reading.spread, -reading.middle / reading.spread)
        alone = self.add("Where", self._states["a"], sound, pictures)
        return self.add("Where", self._states["av"], mean, alone)

    def take_in(self, path: Path) -> None:
        """Take in a shipped fusion graph; its logits become ``shipped_logits``."""
        model = onnx.load(path)
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        if not _OLDEST <= self.opset <= OPSET:
            raise ModelError(
                f"{path} is of opset {self.opset}; scenes build upon {_OLDEST} to {OPSET}: export it again."
            )
        prefixed = compose.add_prefix(model, "shipped_").graph
        for value in prefixed.input:
            self.add("Identity", value.name.removeprefix("shipped_"), name=value.name)
        self.nodes.extend(prefixed.node)
        self.constants.extend(prefixed.initializer)

    def shipped_word(self, bundle: Bundle) -> str:
        """Add what the shipped head says: probabilities ``[n, n_shipped]``."""
        temperature = self.in_states(bundle.temperature.model_dump())
        return self.add("Softmax", self.add("Div", "shipped_logits", temperature), axis=1)

    def _name(self, of: str) -> str:
        self._count += 1
        return f"{of.lower()}_{self._count}"
