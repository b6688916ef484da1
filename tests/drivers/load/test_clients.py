"""Client processes that are asked to end, or whose parent dies."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench import lines
from tests.programs import command_of, until

from .conftest import NULL, counted, serving

SHORT = ("--tokens", "16", "--warmup", "0")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def test_what_ctrl_c_cuts_off_is_no_failure_of_the_service():
    with serving(*NULL, "--service_time", "300ms") as (url, _):
        words = ("--scenario", "open", "--rate", "40", "--duration", "300s")
        command = [sys.executable, "-m", "fmbench", "load", "--url", url, "--model_name", "none", *SHORT, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            until(lambda: counted(url) > 6)  # of those that it answers one after the other
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
    found = [line for row in out.splitlines() if (line := lines.parse_line(row))]
    (said,) = (line.data for line in found if line.kind == "LOAD")
    assert said["answered"] > 0 and (said["ended"], said["errors"]) == ("interrupted", []), err


def test_no_client_process_outlives_one_that_is_killed(null):
    words, before = ("--duration", "300s", "--concurrency", "8", "--processes", "2"), counted(null)
    command = [sys.executable, "-m", "fmbench", "load", "--url", null, "--model_name", "none", *SHORT, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: counted(null) - before > 2500)  # each has more to hand over than a pipe holds
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
    assert len(children) == 2
    try:
        until(lambda: not any(map(command_of, children)))
    except AssertionError:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        raise
