"""What the system says is one line with a path, whoever forgot to catch it."""

import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.console import run_main

FULL = Path("/dev/full")
DRIVER = (sys.executable, "-m", "fmbench", "driver", "--platform", "null", "--model_class", "none",
          "--model_name", "none", "--input_sizes", "64", "--batch_sizes", "1", "--reps", "5")  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", [DRIVER, (sys.executable, "-m", "fmbench", "backends")])
def test_a_full_disk_behind_standard_output_is_one_line(command):
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert (
        done.returncode == 1
        and len(said) == 1
        and ": error: " in said[0]
        and "No space left" in said[0]
        and ("standard output" in said[0] or "the log" in said[0])
    ), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_disk_behind_standard_error_is_no_failure():
    with FULL.open("w") as full:
        done = subprocess.run(DRIVER, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert done.returncode == 0 and "FMWORK REP 5 5 " in done.stdout


def test_a_name_that_is_too_long_is_a_wrong_command_line(capsys):
    name = "n" * 300
    assert run_main("program", lambda: Path(name).open().close() or 0) == 2
    assert f"error: {name}: File name too long; name a shorter path" in capsys.readouterr().err


def test_an_error_of_the_system_names_its_file(tmp_path, capsys):
    assert run_main("program", lambda: (tmp_path / "none").open().close() or 0) == 1
    assert capsys.readouterr().err.startswith(f"program: error: {tmp_path}/none: No such file or directory")
