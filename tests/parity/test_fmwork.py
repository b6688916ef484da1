"""Logs as fmwork's own `process` reads them: FMBENCH_FMWORK names a checkout of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.process.cli import main

README = Path(__file__).parents[1] / "golden" / "seed-example.log"
RUNNER = "FMWORK EXP A=1\n\nFMWORK ENV A=1\nFMWORK ENV PATH=/bin\nFMWORK ARG --platform cuda\nFMWORK ARG --reps 100\n"


@pytest.mark.parametrize("head", ["", RUNNER], ids=["readme", "runner"])
def test_its_fifteen_keys_are_the_same(head, tmp_path, capsys):
    checkout = os.environ.get("FMBENCH_FMWORK")
    if not checkout:
        pytest.skip("FMBENCH_FMWORK names no checkout of fmwork")
    log = tmp_path / "driver.log"
    log.write_text(head + README.read_text())
    words = ["--path", str(log), "--metadata_id", "x"]
    done = subprocess.run([sys.executable, f"{checkout}/embed/tf/process", *words], capture_output=True, check=True)
    (said,) = json.loads(done.stdout)
    assert main(words) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(said) == 15 and list(found)[:15] == list(said)
    assert {key: found[key] for key in said} == said
