"""What a choice prints to be pasted runs in another folder, and gives what was judged."""

import json
import shlex
from pathlib import Path

import pytest

from fmbench import cli, lines
from fmbench.backend import Candidate
from fmbench.command_line import CommandLine
from fmbench.drivers.choose.arguments import the_parser
from fmbench.drivers.choose.candidates import base_of, planned
from fmbench.drivers.choose.production import files_of

from .test_choose import FASTER, NOISY, last

RACE = ("--platforms", "noisy", "--platform:pace", "10", "--threads", "1", "--vs", FASTER, "--budget", "200s")


def test_the_command_judges_the_same_passages_from_any_folder(choose, wings, tmp_path, monkeypatch, capfd):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(wings)
    code, written, out, err = choose(*RACE, "--documents", "30", data=("--dataset", "wings"), model="tiny")
    assert code == 0 and str(wings) not in json.dumps(last(written, "bulk")), err
    (command,) = (text for text in out.splitlines() if text.startswith("fmbench retrieve evaluate "))
    monkeypatch.chdir(other)
    assert cli.main(shlex.split(command)[1:]) == 0
    done = [line for text in capfd.readouterr().out.splitlines() if (line := lines.parse_line(text))]
    (encoded,) = (line.data for line in done if lines.is_json(line, "ENC") and line.data["role"] == "passage")
    (found,) = (line.data for line in done if lines.is_json(line, "IRM"))
    winner = next(one for one in last(written, "bulk")["candidates"] if one["name"] == FASTER)
    assert encoded["texts"] == 30 and encoded["tokens_per_batch"] == winner["tokens_per_batch"]
    assert found["metrics"]["ndcg_cut_10"] == pytest.approx(winner["ndcg"], abs=1e-9)


def test_without_judgements_no_command_is_printed_since_it_would_be_refused(choose, wings, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / "data" / name).write_bytes((wings / "wings" / name).read_bytes())
    code, _, out, err = choose(*NOISY, "--vs", FASTER, "--profile", "bulk", "--budget", "200s",
                                     data=("--dataset", tmp_path / "data"))  # fmt: skip
    assert code == 0 and "retrieve evaluate" not in out and "\nmodel = SentenceTransformer(" in out, err


def test_files_are_those_that_depend_on_the_folder(wings, tmp_path, monkeypatch):
    monkeypatch.chdir(wings)

    def files(*words):
        base = base_of(CommandLine.parse(words, the_parser().flags), "cpu")
        return files_of(
            planned(base, "", Candidate("c", "--platform cpu", "r")).arguments, [Path("wings"), tmp_path, Path("gone")]
        )

    assert files("--model_name", "./tiny") == ["./tiny", "tiny", "wings"]
    assert files("--model_name", "tiny", "--model_root", ".") == [".", "tiny", "wings"]
    assert files("--model_name", str(wings / "tiny")) == ["wings"]


def test_texts_that_int8_was_rounded_after_are_among_the_files(choose, tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    monkeypatch.chdir(tmp_path)
    code, written, _, err = choose("--platforms", "openvino", "--without", "openvino float32", "--profile", "bulk",
                                   "--threads", "1", "--budget", "60s", log=Path("int8.log"))  # fmt: skip
    assert code == 0, err
    (row,) = (one for one in last(written, "bulk")["candidates"] if one["name"] == "openvino int8")
    (file,) = row["files"]
    assert file.startswith("calibration-") and Path(file).is_file() and file in shlex.split(row["command"])
