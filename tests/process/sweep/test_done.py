"""Which cells are done: what a command read, wrote and ran under, and what of that is another now."""

import re
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmbench import facts
from fmbench.backends.null import NullBackend
from fmbench.checks import Checked, check_command
from fmbench.errors import UsageError
from fmbench.process.sweep import local
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.kept import Run, changes, differing

from ...tiny_model import write_collection, write_model
from .conftest import FAKE, WITH


@pytest.mark.slow
@pytest.mark.parametrize("run", ["retrieve evaluate", "fidelity capture --out new", "driver"])
def test_other_weights_and_other_texts_are_noticed(tmp_path, run):
    model, data = write_model(tmp_path / "model"), write_collection(tmp_path / "data")
    run, *words = run.split(" --")
    words = [f"--{word.replace(' ', '=')}" for word in words] + ["--platform=cpu", f"--model_name={model}"]
    shapes = ["--input_sizes=8", "--batch_sizes=1", "--reps=1"]
    words += shapes if run == "driver" else [f"--dataset={data}"]

    def changed():
        return changes(then, check_command(run, words))

    then = {"model_digest": "", **check_command(run, words).model()}
    assert changed() == []
    if run != "driver":
        (data / "queries.jsonl").write_text((data / "queries.jsonl").read_text().replace("a", "e"))
        assert [name.partition(".")[0] for name in changed()] == ["data" if run.startswith("ret") else "texts"]
        then = {"model_digest": "", **check_command(run, words).model()}
    write_model(tmp_path / "model", seed=2)
    assert changed() == ["model_parts.weights"]


WRITER = """\
import pathlib, sys, time
if sys.argv[1] == "driver":
    pathlib.Path("b").mkdir(exist_ok=True)
    pathlib.Path("b", "made").write_text(str(time.time_ns()))
print('FMWORK LOG {"format": 1, "program": "fake", "driver": "embed"}')
print('FMWORK ENV {"platform": "null"}')
print(f"FMWORK RES {time.time():.9f} {time.time():.9f} none none 8 1 1.000 1000.0")
"""


def test_a_cell_runs_again_where_what_it_reads_was_written_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", WRITER))
    Path("grid.yaml").write_text(
        f"sweep: s\nruns:\n- {{run: driver, with: {{{WITH}, batch_sizes: 1}}}}\n- run: fidelity compare a b\n"
    )

    def ran(*words):
        assert main(["grid.yaml", *words]) == 0
        err = capsys.readouterr().err
        return re.findall(r"done in .*: (?:fidelity )?(driver|compare)\b", err), err

    assert ran()[0] == ["driver", "compare"] and ran()[0] == []
    found, err = ran("--set", "reps=11")  # another driver cell, which writes b
    assert found == ["driver", "compare"]
    assert "1 cell to run again: the fingerprint under which results has them differs in b\n" in err
    assert ran("--set", "reps=11")[0] == []
    Path("b", "more").touch()
    assert ran("--set", "reps=11")[0] == ["compare"]


NEW_FOLDER = """\
import pathlib, sys, time
made = pathlib.Path("a/made")
if made.exists() == ("compare" not in sys.argv) and not {"--replace", "--overwrite_output_dir"} & {*sys.argv}:
    sys.exit("fidelity: error: a: is not empty, or not there")
made.parent.mkdir(exist_ok=True)
made.touch()
print('FMWORK LOG {"format": 1, "program": "fake", "driver": "embed"}')
print('FMWORK ENV {"platform": "null"}')
print(f"FMWORK RES {time.time():.9f} {time.time():.9f} none none 8 1 1.000 1000.0")
"""


@pytest.mark.parametrize(
    ("run", "where", "said"),
    [
        ("fidelity capture", "texts: t, out: a", "a: is not empty"),
        ("retrieve mine", "dataset: d, output_dir: a", "--output_dir a: holds made already"),
    ],
)
def test_what_an_earlier_run_of_a_cell_wrote_is_replaced_and_what_others_did_is_not(
    tmp_path, monkeypatch, capsys, run, where, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", NEW_FOLDER))
    write_model(tmp_path / "model")
    write_collection(tmp_path / "d")
    Path("t").write_text("one\ntwo\n")
    Path("grid.yaml").write_text(f"sweep: s\nrun: {run}\nwith: {{platform: cpu, model_name: model, {where}}}\n")
    assert main(["grid.yaml", "--repeat", "2"]) == 0
    assert main(["grid.yaml", "--redo", "all"]) == 0
    assert main(["grid.yaml", "--set", "store=another", "--repeat", "2"]) == 2  # nothing tells whose folder that is
    assert said in capsys.readouterr().err


def test_what_a_cell_wrote_and_another_has_to_read_is_written_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", NEW_FOLDER))
    write_model(tmp_path / "model")
    Path("t").write_text("one\ntwo\n")
    capture = "{run: fidelity capture, with: {platform: cpu, model_name: model, texts: t, out: a}}"
    Path("grid.yaml").write_text(f"sweep: s\nruns:\n- {capture}\n- run: fidelity compare t a\n")
    assert main(["grid.yaml"]) == 0
    shutil.rmtree("a")
    Path("grid.yaml").write_text(f"sweep: s\nrun: fidelity capture\n{capture[len('{run: fidelity capture, ') : -1]}\n")
    assert main(["grid.yaml", "--dry-run"]) == 0  # nobody reads it
    assert "1 cell: 1 done" in capsys.readouterr().out
    Path("grid.yaml").write_text(f"sweep: s\nruns:\n- {capture}\n- run: fidelity compare t a\n")
    assert main(["grid.yaml", "--dry-run"]) == 0
    found = capsys.readouterr().out
    assert "to run again: its folder is gone\n" in found and "2 cells: 2 left" in found
    assert main(["grid.yaml"]) == 0 and Path("a", "made").exists()
    assert "1 cell to run again: the folder that another cell reads is gone\n" in capsys.readouterr().err
    assert main(["grid.yaml", "--dry-run"]) == 0 and "2 cells: 2 done" in capsys.readouterr().out


def inputs(run, words):
    return sorted(map(str, check_command(run, shlex.split(words)).inputs))


def test_what_a_command_reads_is_known_before_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model")
    Path("pairs.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\nc\td\t2\ne\tf\t3\n")
    Path("tasks.yaml").write_text("tasks: [{name: pairs, type: sts, data: pairs.tsv}]\n")
    model = "--platform cpu --model_name model"
    assert inputs("fidelity compare a b", "") == ["a", "b"]
    assert inputs("quality", f"{model} --tasks tasks.yaml") == ["pairs.tsv", "tasks.yaml"]
    assert inputs("distill teacher", f"{model} --dataset d --split s --teacher_dir t --held_out_queries q") == [
        "d",
        "q",
    ]
    assert inputs("distill align", f"{model} --teacher_dir t --student lookup --output_dir o") == ["t"]
    assert inputs("distill evaluate", f"{model} --dataset d --query_model q,r") == ["d", "q", "r"]
    assert inputs("load", "--serve '--platform cpu' --model_name model --texts t") == ["model", "t"]


def test_a_capture_of_texts_that_are_not_there_is_refused_before_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model")
    for source in ("--texts gone", "--dataset gone"):
        words = shlex.split(f"--platform cpu --model_name model --out a {source}")
        with pytest.raises(UsageError, match="gone"):
            check_command("fidelity capture", words)


@pytest.mark.parametrize(("version", "changed"), [(version("scipy"), []), ("0.1", ["packages.scipy"])])
def test_an_upgrade_of_what_only_another_variant_needs_is_noticed(version, changed):
    software = facts.software_facts(tuple(NullBackend.distributions))
    environments = [{"packages": software["packages"]}, {"packages": {"scipy": version}}]
    cell = {"id": "c", "run": "choose", "exit_code": 0, "seconds": 1.0, "start": 0}
    told = {"run": {"cell": cell}, "results": {"statuses": {}}, "environments": environments}
    run = Run.of(SimpleNamespace(name="e", facts=told))
    assert changes(run.environment, Checked(NullBackend(), None)) == changed


def test_another_commit_is_the_same_where_what_measures_is(monkeypatch):
    facts.measures_alike.cache_clear()
    said = {"docs": "", "code": "drivers/embed.py"}
    monkeypatch.setattr("fmbench.facts.git", lambda folder, *words: said[words[2]] if "diff" in words else "")
    monkeypatch.setattr("fmbench.facts.COMMIT", re.compile("docs|code|now"))
    now = {"fmbench_commit": "now"}
    assert differing({"fmbench_commit": "docs"}, now) == []
    for then in ("code", "now+", None):  # of files that differ nobody knows
        assert differing({"fmbench_commit": then}, now) == ["fmbench_commit"]
