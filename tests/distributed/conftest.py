import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Jobs:
    """What jobs said, and how their ranks ended."""

    def __init__(self, folder):
        self.folder = folder
        self.exits = json.loads((folder / "exits.json").read_text())
        self.host = socket.gethostname()

    def said(self, job, rank):
        """Return the lines that a rank wrote to stderr, without torch's own warnings."""
        lines = (self.folder / f"{job.replace(':', '-')}-{rank}.err").read_text().splitlines()
        return [line for line in lines if line.startswith(("rank ", job.split(":")[0]))]


def run(command, timeout):
    """Run a command and end what is left of it after its time; return (exit code, stderr)."""
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            _, said = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    """Run jobs at the same time: launch("scenario:ranks", ...)."""

    def start(*jobs, timeout=300):
        folder = tmp_path_factory.mktemp("ranks")
        code, said = run([sys.executable, "-m", "tests.distributed.launch", str(folder), *jobs], timeout)
        assert code == 0, said
        return Jobs(folder)

    return start
