"""What can be pasted of a choice: once, for all profiles that it is to be run in, and in any folder."""

import ast
import shlex

from fmbench.process.workloads.choice_code import code_of

COMMAND = "fmbench retrieve evaluate --model_name 'my models/m' --dataset data --split data.txt"
PROGRAM = "model = load('my models/m', 'data.txt')\n"


def winner(profile="bulk", variant="a", **more):
    said = {"profile": profile, "command": COMMAND, "program": PROGRAM, "files": ["my models/m", "data"], "ndcg": 0.5}
    return {"variant": variant, "choice": {**said, **more}, "environment": {"passages": 1300}}


def test_one_that_is_to_be_run_in_both_profiles_names_both():
    both = [winner("online"), winner()]
    command, program = code_of(both[0], both)
    assert [command, program] == code_of(both[1], both)
    assert command.startswith("# a, for one text at a time and in bulk: judges it again on the same 1,300 passages "
                              "(nDCG@10 was 0.5000), alone: ")  # fmt: skip
    assert program.startswith("# a, for one text at a time and in bulk: its vectors without fmbench")
    command, program = code_of(both[1], [winner("online", "b"), both[1]])
    assert command.startswith("# a, in bulk: ") and program.startswith("# a, in bulk: ")


def test_files_that_lie_here_are_named_from_the_root(tmp_path, monkeypatch):
    (tmp_path / "my models" / "m").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    command, program = code_of(winner(), [winner()])
    assert shlex.split(command.splitlines()[-1]) == [
        "fmbench", "retrieve", "evaluate", "--model_name", str(tmp_path / "my models" / "m"), "--dataset",
        str(tmp_path / "data"), "--split", "data.txt",
    ]  # fmt: skip
    call = ast.parse(program).body[0].value
    assert [one.value for one in call.args] == [str(tmp_path / "my models" / "m"), "data.txt"]
    assert "the folder in which" not in command + program


def test_names_from_the_root_go_no_way_back(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    typed = {"command": "fmbench x --model_name ../model", "program": "load('../model')\n", "files": ["../model"]}
    command, program = (text.splitlines()[-1] for text in code_of(winner(**typed), []))
    assert command.endswith(f" {tmp_path / 'model'}") and program == f"load({str(tmp_path / 'model')!r})"


def test_files_that_lie_elsewhere_are_said_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, program = code_of(winner(), [winner()])
    assert command.endswith(f"; paths are of the folder in which the choice was made.\n{COMMAND}")
    assert program.endswith(f"; paths are of the folder in which the choice was made.\n{PROGRAM}")


def test_a_part_of_the_documents_is_said():
    command, _ = code_of(winner(command=f"{COMMAND} --other_documents 17"), [winner()])
    assert "; without --other_documents it is of all passages, and nDCG another" in command
    assert code_of(winner(command=None, program=None), []) == []


def test_what_a_damaged_log_has_is_shown_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    damaged = winner(command="fmbench 'retrieve", files=["data", "long" * 9999, "nul\0"])
    assert code_of(damaged, [damaged])[0].endswith("\nfmbench 'retrieve")
