"""The tool that writes the demonstration to a file, since it is what checks the sources on real containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_avsc.types import NS_PER_S
from taken import lags_ms, read, write_demo_tool

TOOL = write_demo_tool()


@pytest.mark.parametrize("skew_ms", [0, 40, -120, 500])
def test_the_file_has_the_imposed_lag(tmp_path: Path, skew_ms: int) -> None:
    path = tmp_path / "demo.mp4"
    assert TOOL.main([str(path), "--duration", "2.2", "--skew-ms", str(skew_ms), "--fps", "30"]) == 0
    taken = read(path)
    assert lags_ms(taken, skew_ms) == pytest.approx([skew_ms] * 2, abs=1.0)
    assert taken.ends_ns == {"audio": 22 * NS_PER_S // 10, "video": 22 * NS_PER_S // 10}


@pytest.mark.parametrize("suffix", TOOL.CODECS)
def test_every_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"demo{suffix}"
    assert TOOL.main([str(path), "--duration", "0.4"]) == 0
    taken = read(path)
    assert taken.ends_ns["audio"] == pytest.approx(0.4 * NS_PER_S, abs=1000)
    assert taken.events == []


def test_unknown_suffix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        TOOL.main([str(tmp_path / "demo.xyz")])
    assert "has no known suffix" in capsys.readouterr().err
