from __future__ import annotations

import io

from edge_avsc.sinks.progress import BuildView


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_each_build_is_one_line() -> None:
    stream = io.StringIO()
    with BuildView(stream) as view:
        view.progress("audio.onnx for sm_89", 0.1)
        view.progress("audio.onnx for sm_89", 1.0)
        view.say("The engine is built anew.")
        view.progress("image.onnx for sm_89", 0.5)
    assert stream.getvalue().splitlines() == [
        "building audio.onnx for sm_89 …",
        "The engine is built anew.",
        "building image.onnx for sm_89 …",
    ]


def test_a_terminal_gets_a_bar_that_is_filled() -> None:
    stream = Terminal()
    with BuildView(stream) as view:
        view.progress("audio.onnx", 0.25)
        view.say("The engine is built anew.")
        view.progress("audio.onnx", 1.0)
    shown = stream.getvalue()
    assert "building audio.onnx" in shown
    assert "100%" in shown
    assert "The engine is built anew." in shown


def test_where_nothing_is_built_nothing_is_shown() -> None:
    for stream in (io.StringIO(), Terminal()):
        with BuildView(stream):
            pass
        assert stream.getvalue() == ""
