"""Client processes that are asked to end, or whose parent dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmbench import lines

from .conftest import NULL, serving

SHORT = ("--tokens", "16", "--warmup", "0")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def clients(process):
    """The client processes of a run, when they have more to hand over than a pipe holds."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not path.read_text():
        time.sleep(0.1)
    time.sleep(3)
    return path.read_text().split()


def test_what_ctrl_c_cuts_off_is_no_failure_of_the_service():
    with serving(*NULL, "--service_time", "300ms") as (url, _):
        words = ("--scenario", "open", "--rate", "40", "--duration", "60s")
        command = [sys.executable, "-m", "fmbench", "load", "--url", url, "--model_name", "none", *SHORT, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            clients(process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    found = [line for row in out.splitlines() if (line := lines.parse_line(row))]
    (said,) = (line.data for line in found if line.kind == "LOAD")
    assert said["answered"] > 0 and (said["ended"], said["errors"]) == ("interrupted", []), err


def test_no_client_process_outlives_one_that_is_killed(null):
    words = ("--duration", "60s", "--concurrency", "4", "--processes", "2")
    command = [sys.executable, "-m", "fmbench", "load", "--url", null, "--model_name", "none", *SHORT, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        children = clients(process)
        process.kill()
    for _ in range(100):
        left = [child for child in children if Path(f"/proc/{child}").exists()]
        if not left:
            break
        time.sleep(0.1)
    for child in left:
        os.kill(int(child), signal.SIGKILL)
    assert left == []
