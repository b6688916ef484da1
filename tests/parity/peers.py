"""Where a peer's Python is, and how a script runs there."""

import os
import subprocess
from pathlib import Path

import pytest


def run_peer(name: str, script: str, *words: object, timeout: int = 500) -> str:
    """Run a script of this folder by the Python that FMBENCH_PEER_{name} names; return what it printed, or skip."""
    return run_python(name, Path(__file__).parent / script, *words, timeout=timeout)


def run_python(name: str, *words: object, timeout: int = 500) -> str:
    """Run the Python that FMBENCH_PEER_{name} names; return what it printed, or skip."""
    python = os.environ.get(f"FMBENCH_PEER_{name}")
    if not python:
        pytest.skip(f"FMBENCH_PEER_{name} names no Python with this peer")
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    variables["PATH"] = f"{Path(python).parent}{os.pathsep}{variables.get('PATH', '')}"  # of ninja, which compiles
    ended = subprocess.run([python, *map(str, words)], capture_output=True, text=True, env=variables, timeout=timeout)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout
