"""A V4L2 camera and an ALSA sound card as the kernel has them: listed, refused, measured, pulled out and put back.

They are drivers without hardware (vivid, snd-aloop) in a virtual machine, so this runs in every container.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from real import virtual_machine
from real.running import SCRIPT, Line, estimates, events, last, utc_s
from real.virtual_machine import Machine
from tiny_bundle import write_tiny_bundle

pytestmark = [
    pytest.mark.real,
    pytest.mark.long,
]

PROBE = f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('probe.py')))}"
# Small, since the processor that feeds them is emulated.
CAMERA = "v4l2:///dev/video0?width=320&height=180&fps=5"
EARS = "alsa://hw:0,1"
RATE_HZ = 16_000
NOISE_S = 600

# Unlike pulling out a plug, this leaves the node; it works again as soon as nobody has it open.
DISCONNECT = (
    "exec 4<>/dev/video0; date +%s.%N; v4l2-ctl -d0 -c disconnect=1; "
    "while [ ! -e /mnt/back ]; do sleep 0.1; done; rm /mnt/back; exec 4>&-; date +%s.%N"
)
PULL_OUT = (
    "cd /sys/bus/platform/drivers/{driver}; date +%s.%N; echo {device} >unbind; "
    "while [ ! -e /mnt/back ]; do sleep 0.1; done; rm /mnt/back; echo {device} >bind; date +%s.%N"
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with one camera, and one sound card of which each side hears what is played to the other."""
    if lacking := virtual_machine.missing():
        pytest.skip(lacking)
    with virtual_machine.booted(tmp_path_factory.mktemp("machine")) as booted:
        write_tiny_bundle(booted.shared / "tiny")
        noise = np.random.default_rng(1).normal(0, 3000, NOISE_S * RATE_HZ).astype("<i2")
        noise.tofile(booted.shared / "noise.raw")
        booted.do(
            "modprobe vivid n_devs=1 node_types=1 && modprobe snd-aloop pcm_substreams=1 && mv /mnt/noise.raw /run/"
        )
        # What is read for the first time comes slowly, and the source's patience ends.
        booted.run(python(f"{SCRIPT} devices"))
        # It begins anew when the card was pulled out.
        play = f"aplay -q -D hw:0,0 -t raw -f S16_LE -r {RATE_HZ} -c 1 --buffer-time=500000 /run/noise.raw"
        booted.start(f"while :; do {play}; sleep 0.1; done")
        yield booted


def python(command: str) -> str:
    return f"export PYTHONPATH={shlex.quote(os.environ.get('PYTHONPATH', ''))}\n{command}"


def measured(machine: Machine, command: str) -> dict[str, Any]:
    """Return what the probe prints in the end."""
    lines = machine.do(python(f"{PROBE} {command}")).splitlines()
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def test_devices_without_usb_are_listed_by_their_place(machine: Machine) -> None:
    text = machine.do(python(f"{SCRIPT} devices"))
    uris = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert "v4l2:///dev/video0" in uris
    assert EARS in uris
    assert not any(uri.startswith("usb-id:") for uri in uris)


@pytest.mark.parametrize("source", ["Start of Exposure", "End of Frame"])
def test_frames_carry_the_time_of_the_driver_unless_it_lies_in_the_future(machine: Machine, source: str) -> None:
    # vivid hands out a frame at its start, and in the second mode stamps it with the end that it has yet to reach.
    future = source == "End of Frame"
    machine.do(f"v4l2-ctl -d0 -c timestamp_source={0 if future else 1}")
    seen = measured(machine, f"camera '{CAMERA}' 60")
    stamps_ns, ages_ms = seen["stamps_ns"], seen["ages_ms"]
    print(source, "age in ms:", statistics.median(ages_ms), max(ages_ms), "frames:", len(stamps_ns))
    assert seen["error"] == ""
    assert len(stamps_ns) == 60
    gaps_ms = np.diff(stamps_ns) / 1e6
    assert (gaps_ms > 0).all()
    assert 1000 * 59 / gaps_ms.sum() == pytest.approx(5.0, rel=0.05)
    assert min(ages_ms) >= 0
    assert statistics.median(ages_ms) < 60
    # The driver's times are whole microseconds, those of our clock are not.
    of_driver = sum(min(stamp_ns % 1000, -stamp_ns % 1000) <= 10 for stamp_ns in stamps_ns)
    assert of_driver < 30 if future else of_driver == 60
    assert len(seen["shapes"]) == 1
    assert min(seen["shapes"][0][:2]) >= 32
    assert 20 < statistics.median(seen["luma"]) < 235


def test_sound_comes_at_its_own_rate_with_plausible_times(machine: Machine) -> None:
    seen = measured(machine, f"microphone {EARS} 800")
    ages_ms, stamps_ns, indices = seen["ages_ms"], seen["stamps_ns"], seen["indices"]
    lost = sum(later - earlier - 160 for earlier, later in itertools.pairwise(indices))
    rate_hz = 1e9 * (indices[-1] - indices[0]) / (stamps_ns[-1] - stamps_ns[0])
    print("age in ms:", statistics.median(ages_ms), max(ages_ms), "lost samples:", lost, "rate:", rate_hz)
    assert (seen["error"], seen["events"]) == ("", [])
    assert (seen["rate_hz"], seen["channels"]) == ([RATE_HZ], [1])
    assert 0.2 < seen["level"] < 1.0
    assert rate_hz == pytest.approx(RATE_HZ, rel=0.01)
    assert 10 <= statistics.median(ages_ms) < 80


def test_what_cannot_be_used_says_why_at_once(machine: Machine) -> None:
    machine.do("modprobe -r vivid && modprobe vivid n_devs=2 node_types=1,1")
    # Who is root without the right to override is refused like any user to whom a device does not belong.
    setting = """
        chown 1:1 /dev/video1 /dev/snd/pcmC0D0c; chmod 660 /dev/video1 /dev/snd/pcmC0D0c
        v4l2-ctl -d0 --stream-mmap --stream-count=1000000 --stream-to=/dev/null >/dev/null 2>&1 & streams=$!
        arecord -q -D hw:0,1 -f S16_LE -r 16000 -c 1 /dev/null 2>/dev/null & records=$!
        sleep 2; trap "kill $streams $records" EXIT
    """
    says = {
        "microphone=alsa://hw:7,0": "There is no microphone 'alsa://hw:7,0'",
        "microphone=alsa://hw:0,1": "is busy; close the program that holds it",
        "microphone=alsa://hw:0,0": "may not be used (/dev/snd/pcmC0D0c: permission denied); add the user to the group",
        "microphone=usb-id:046d:0825": "No sound card is usb-id:046d:0825 (on USB now: none)",
        "microphone=Lopback": "There is no microphone 'Lopback'",
        "camera=v4l2:///dev/video9": "There is no camera /dev/video9; plug it in",
        "camera=v4l2:///dev/video1": "The camera /dev/video1 may not be used; add this user to its group",
        "camera=v4l2:///dev/video0": "The camera /dev/video0 does not open; close the program that uses it",
        "camera=usb-id:046d:0825": "There is no camera usb-id:046d:0825; plug it in",
    }
    # The first of each kind is asked twice, since it pays for what is loaded once.
    first = "microphone=alsa://hw:7,0 camera=v4l2:///dev/video0"
    command = f"setpriv --bounding-set=-dac_override {PROBE} refused {first} {' '.join(says)}"
    text = machine.do(python(setting + command))
    machine.do("until modprobe -r vivid; do sleep 0.1; done; modprobe vivid n_devs=1 node_types=1")
    answers = json.loads(text.splitlines()[-1])
    print(answers)
    for name, sentence in says.items():
        said, after_s = answers[name]
        assert sentence in said, name
        # A microphone is asked by a new process, which is there in a fifth of a second where nothing is emulated.
        assert after_s < (10.0 if name.startswith("microphone") else 6.0), name


def test_a_run_that_can_open_nothing_ends_with_code_3(machine: Machine) -> None:
    streams = {"a": {"video": "v4l2:///dev/video9"}, "b": {"audio": "alsa://hw:7,0"}}
    result = machine.run(python(f"{SCRIPT} run --config {write_config(machine, streams)}"))
    assert result.code == 3
    assert "There is no camera /dev/video9" in result.text
    assert "There is no microphone 'alsa://hw:7,0'" in result.text


@dataclass(frozen=True)
class Fault:
    """One pull of a plug: how long until it was told, until items came again, until all was whole, and the labels."""

    told_s: float
    back_s: float
    whole_s: float
    labels: list[Line]


class Run:
    """A run in the machine, and its lines."""

    def __init__(self, machine: Machine, streams: dict[str, Any]) -> None:
        self._machine = machine
        self._path = machine.shared / "labels.jsonl"
        self._path.unlink(missing_ok=True)
        command = f"exec {SCRIPT} run --config {write_config(machine, streams)}"
        self._job = machine.start(python(f"echo $$ >/mnt/pid\n{command}"))

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        # Whatever went wrong, the next run finds the plugs in and the devices free.
        (self._machine.shared / "back").touch()
        self._machine.run("kill -9 $(cat /mnt/pid); sleep 1; rm -f /mnt/back")

    def lines(self) -> list[Line]:
        text = self._path.read_text() if self._path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def wait_for(self, what: Callable[[list[Line]], bool], within_s: float = 90.0) -> list[Line]:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            lines = self.lines()
            if what(lines):
                return lines
            time.sleep(0.1)
        raise AssertionError(f"it did not come; the last lines: {self.lines()[-3:]}\n{self._job.text()}")

    def strike(self, script: str, source: str, left: str) -> Fault:
        """Pull a plug and put it back, after the labels went on for a while with the modality that is *left*."""
        before = len(self.lines())
        job = self._machine.start(script)
        self.wait_for(lambda lines: last(lines, 6, left) and told(lines[before:], source) != [])
        during = len(self.lines())
        (self._machine.shared / "back").touch()
        self.wait_for(lambda lines: last(lines[during:], 4, "av"))
        pulled_s, back_s = (float(line) for line in job.wait().text.split())
        lines = self.lines()
        first = next(line for line in estimates(lines[during:]) if line["modality"] == "av")
        return Fault(
            min(utc_s(line) for line in told(lines[before:], source)) - pulled_s,
            min(utc_s(line) for line in recovered(lines[during:], source)) - back_s,
            utc_s(first) - back_s,
            [line for line in estimates(lines) if pulled_s + 2.0 < utc_s(line) < back_s],
        )

    def end(self) -> tuple[int, float]:
        """Ask it to end; return its exit code, and after how many seconds it had gone."""
        ask = "pid=$(cat /mnt/pid); date +%s.%N; kill $pid; while [ -e /proc/$pid ]; do sleep 0.01; done; date +%s.%N"
        asked_s, gone_s = (float(word) for word in self._machine.do(ask).split())
        return self._job.wait().code, gone_s - asked_s


def write_config(machine: Machine, streams: dict[str, Any]) -> str:
    sinks = {"console": None, "jsonl": {"path": "/mnt/labels.jsonl"}}
    config = {"version": 1, "model": "/mnt/tiny", "streams": streams, "sinks": sinks}
    (machine.shared / "config.yaml").write_text(yaml.safe_dump(config))
    return "/mnt/config.yaml"


def told(lines: list[Line], source: str) -> list[Line]:
    """Return the events that say that *source* is lost."""
    kinds = ("lost", "stalled", "flapping")
    return [line for line in lines if line["type"] == "event" and line["source"] == source and line["event"] in kinds]


def recovered(lines: list[Line], source: str) -> list[Line]:
    """Return the events that say that *source* is back."""
    return [
        line for line in lines if line["type"] == "event" and (line["source"], line["event"]) == (source, "recovered")
    ]


def test_plugs_that_are_pulled_out_and_put_back(machine: Machine) -> None:
    with Run(machine, {"lobby": {"audio": EARS, "video": CAMERA}}) as run:
        run.wait_for(lambda lines: last(lines, 8, "av"))
        faults = {
            "camera disconnected": run.strike(DISCONNECT, "video", "a"),
            "camera gone": run.strike(PULL_OUT.format(driver="vivid", device="vivid.0"), "video", "a"),
            "sound card gone": run.strike(PULL_OUT.format(driver="snd_aloop", device="snd_aloop.0"), "audio", "v"),
        }
        code, ended_s = run.end()
    for name, fault in faults.items():
        print(f"{name}: told after {fault.told_s:.2f} s, back {fault.back_s:.2f} s, whole {fault.whole_s:.2f} s")
    print(f"ended after {ended_s:.2f} s; events: {events(run.lines())}")
    assert code == 0
    for name, fault in faults.items():
        left = "v" if name == "sound card gone" else "a"
        assert 0 <= fault.told_s < 2.0, name
        # Six in a row there were; in between, the emulated machine itself loses sound.
        modalities = [line["modality"] for line in fault.labels]
        assert set(modalities) <= {left, "none"}, name
        assert modalities.count(left) >= 0.5 * len(modalities) > 0, name
        # PortAudio takes seconds to make its list, emulated; on a processor as it is that is a twentieth of a second.
        assert fault.back_s < (10.0 if left == "v" else 3.0), name
