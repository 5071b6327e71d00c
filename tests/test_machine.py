from __future__ import annotations

from pathlib import Path

import pytest

from edge_avsc.doctor import machine_finding
from edge_avsc.machine import Machine, MachineWatch, read_machine
from edge_avsc.types import NS_PER_S


def written(root: Path, **files: str) -> Path:
    """Write files as Linux shows them; __ in a name stands for a slash, and each ends with a newline."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def zone(root: Path, number: int, kind: str, temperature: str) -> None:
    written(root / f"sys/class/thermal/thermal_zone{number}", type=kind, temp=temperature)


def cooling(root: Path, number: int, kind: str, state: str) -> None:
    written(root / f"sys/class/thermal/cooling_device{number}", type=kind, cur_state=state)


def firmware(root: Path, bits: str) -> None:
    written(root / "sys/devices/platform/soc@107c000000/soc@107c000000:firmware", get_throttled=bits)


def test_a_machine_that_tells_nothing_has_nothing(tmp_path: Path) -> None:
    assert read_machine(tmp_path) == Machine()
    assert str(read_machine(tmp_path)) == "no thermal zone, not slowed down"


def test_the_hottest_zone_counts_and_those_that_are_off_do_not(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", "48500")
    zone(tmp_path, 1, "gpu-thermal", "51250")
    zone(tmp_path, 2, "cv0-thermal", "-256000")
    zone(tmp_path, 3, "broken-thermal", "")
    machine = read_machine(tmp_path)
    assert (machine.temperature_c, machine.zone) == (51.25, "gpu-thermal")


def test_the_power_mode_of_a_jetson_has_its_name(tmp_path: Path) -> None:
    written(tmp_path / "var/lib/nvpmodel", status="pmode:0002")
    assert read_machine(tmp_path).power_mode == "2"
    conf = "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=15W >"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nvpmodel.conf").write_text(conf)
    assert read_machine(tmp_path).power_mode == "15W"


def test_what_slows_down_is_told_and_a_fan_does_not(tmp_path: Path) -> None:
    cooling(tmp_path, 0, "pwm-fan", "3")
    cooling(tmp_path, 1, "cpufreq-cpu0", "0")
    assert read_machine(tmp_path).slowed_by == ()
    cooling(tmp_path, 1, "cpufreq-cpu0", "2")
    cooling(tmp_path, 2, "devfreq-17000000.gpu", "1")
    assert read_machine(tmp_path).slowed_by == ("cpufreq-cpu0 (step 2)", "devfreq-17000000.gpu (step 1)")


@pytest.mark.parametrize(
    ("bits", "slowed"),
    [
        ("0", ()),
        ("50000", ()),  # it was so since the start, and is no more
        ("50005", ("too low a voltage", "throttling")),
        ("8", ("the soft limit of its temperature",)),
        ("nonsense", ()),
    ],
)
def test_a_raspberry_pi_tells_by_its_firmware(tmp_path: Path, bits: str, slowed: tuple[str, ...]) -> None:
    firmware(tmp_path, bits)
    assert read_machine(tmp_path).slowed_by == slowed


def test_a_raspberry_pi_of_a_plain_kernel_tells_by_its_sensor(tmp_path: Path) -> None:
    written(tmp_path / "sys/class/hwmon/hwmon1", name="rpi_volt", in0_lcrit_alarm="1")
    firmware(tmp_path, "1")
    assert read_machine(tmp_path).slowed_by == ("too low a voltage",)


def test_the_watch_tells_once_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", "81000")
    cooling(tmp_path, 0, "cpufreq-cpu0", "0")
    watch = MachineWatch(tmp_path)
    assert list(watch.check(0)) == []
    cooling(tmp_path, 0, "cpufreq-cpu0", "4")
    assert list(watch.check(9 * NS_PER_S)) == []
    told = list(watch.check(10 * NS_PER_S))
    assert told == [("throttled", "The machine is now at 81 °C (cpu-thermal), slowed down by cpufreq-cpu0 (step 4).")]
    assert list(watch.check(20 * NS_PER_S)) == []
    cooling(tmp_path, 0, "cpufreq-cpu0", "0")
    assert [event for event, _ in watch.check(30 * NS_PER_S)] == ["recovered"]
    assert watch.machine.temperature_c == 81.0


def test_the_doctor_names_the_mend() -> None:
    assert str(machine_finding(Machine(50.0, "cpu"))) == "ok    machine: 50 °C (cpu), not slowed down"
    slow = str(machine_finding(Machine(85.0, "cpu", None, ("throttling",))))
    assert slow.startswith("warn  machine: 85 °C (cpu), slowed down by throttling\n      Give it a cooler place")


def test_this_machine_can_be_read() -> None:
    assert "slowed down" in str(read_machine())
