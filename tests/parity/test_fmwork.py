"""Command lines and logs as fmwork's own `driver` and `process` read them: FMBENCH_FMWORK names a checkout of it."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.process.cli import main

from ..test_fmwork_lines import ALIKE, GPU

README = Path(__file__).parents[1] / "golden" / "seed-example.log"
RUNNER = "FMWORK EXP A=1\n\nFMWORK ENV A=1\nFMWORK ENV PATH=/bin\nFMWORK ARG --platform cuda\nFMWORK ARG --reps 100\n"


@pytest.fixture
def checkout():
    return os.environ.get("FMBENCH_FMWORK") or pytest.skip("FMBENCH_FMWORK names no checkout of fmwork")


@pytest.mark.slow
def test_its_driver_reads_the_same_options(checkout, tmp_path):
    source = tmp_path / "lines.json"
    source.write_text(json.dumps([[*GPU, *words.split()] for words, _ in ALIKE]))
    words = [sys.executable, str(Path(__file__).parent / "fmwork_peer.py"), checkout, str(source)]
    said = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    for (line, options), found in zip(ALIKE, said, strict=True):
        assert (found.pop("compiled"), found.pop("eval")) == ("--compile" in line.split(), "--eval" in line.split())
        for name in ("torch.call", "torch.set"):  # which it evaluates as code when it runs them
            found[name] = {key: evaluated(value) for key, value in found[name].items()}
        assert {name: tree for name, tree in found.items() if tree} == options, line


def evaluated(value):
    """What a text is as a literal."""
    return ast.literal_eval(value) if isinstance(value, str) else value


@pytest.mark.parametrize("head", ["", RUNNER], ids=["readme", "runner"])
def test_its_fifteen_keys_are_the_same(checkout, head, tmp_path, capsys):
    log = tmp_path / "driver.log"
    log.write_text(head + README.read_text())
    words = ["--path", str(log), "--metadata_id", "x"]
    done = subprocess.run([sys.executable, f"{checkout}/embed/tf/process", *words], capture_output=True, check=True)
    (said,) = json.loads(done.stdout)
    assert main(words) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(said) == 15 and list(found)[:15] == list(said)
    assert {key: found[key] for key in said} == said
