"""Who may write to a log, and what happens where nobody can."""

import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.console import BROKEN_PIPE
from fmbench.errors import UsageError
from fmbench.session import claim

ROOT = Path(__file__).parent.parent
DRIVER = "driver --platform null --model_class none --model_name none --input_sizes 8 --batch_sizes 1 --reps 3"
WRITE = f"""{sys.executable} -c '
import sys
from fmbench.console import run_main
from fmbench.session import LogWriter, log_stream
def body():
    with log_stream(None) as stream:
        LogWriter(stream).banner("HERE")
        sys.stdin.read()
    return 0
sys.exit(run_main("writer", body))'"""


def shell(script: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, **more)


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("")
    with path.open("a") as mine, path.open("a") as theirs:
        assert claim(mine, "mine") is True
        with pytest.raises(UsageError, match="theirs: another run writes to it"):
            claim(theirs, "theirs")
    with Path("/dev/null").open("w") as nowhere:
        assert claim(nowhere, "nowhere") is False


def test_a_second_driver_that_appends_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    first = subprocess.Popen(["bash", "-c", f"exec {WRITE} >> {log}"], stdin=subprocess.PIPE, cwd=ROOT)
    try:
        while not (log.exists() and log.stat().st_size):
            assert first.poll() is None
        second = shell(f"{WRITE} >> {log} < /dev/null", cwd=ROOT)
    finally:
        first.communicate()
    assert second.returncode == 2
    who = f"another run writes to it (process {first.pid}); wait, or use a log of its own"
    assert second.stderr == f"writer: error: standard output: {who}\n"
    assert log.read_text().count("HERE") == 1


def test_commands_one_after_the_other_share_a_log(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    script = f"exec > {log} < /dev/null; {WRITE} && {WRITE} && {WRITE} >> {log}"
    assert shell(script, cwd=ROOT).returncode == 0
    assert log.read_text().count("HERE") == 3


COMMANDS = [
    "-m fmbench --help", "-m fmbench models", "-m fmbench backends", "-m fmbench.process.cli --schema",
    "-m fmbench show tests/golden/format-1.log", "-m fmbench.process.cli --path tests/golden/format-1.log",
    f"-m fmbench {DRIVER}", "-m fmbench results list", "-m fmbench.process.cli --help",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_stdout_that_is_closed_or_full_is_one_line(command: str) -> None:
    closed = shell(f"{sys.executable} {command} >&-", cwd=ROOT)
    assert closed.returncode == 1 and closed.stderr.count("\n") == 1
    assert "standard output is closed" in closed.stderr
    full = shell(f"{sys.executable} {command} > /dev/full", cwd=ROOT)
    said = [line for line in full.stderr.splitlines() if not line.startswith(("note: ", "warning: "))]
    assert full.returncode == 1 and len(said) == 1
    assert "No space left on device" in said[0] and "FMBENCH_DEBUG" not in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS[:6])
def test_a_reader_that_goes_away_is_no_error(command: str) -> None:
    gone = shell(f"{{ {sys.executable} {command}; echo $? >&2; }} | exec true", cwd=ROOT)
    assert gone.stderr.split()[-1] in ("0", str(BROKEN_PIPE)) and "Traceback" not in gone.stderr
    assert "Exception ignored" not in gone.stderr


def test_a_closed_stderr_is_no_error() -> None:
    assert shell(f"{sys.executable} -m fmbench models 2>&-", cwd=ROOT).returncode == 0
