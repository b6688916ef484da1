"""What a choice leaves behind, and `--check`, which measures its winner again."""

import json
from pathlib import Path

import pytest
import torch

from fmbench.backend import Candidate
from fmbench.command_line import CommandLine
from fmbench.drivers.choose import entrant
from fmbench.drivers.choose.arguments import parse, the_parser
from fmbench.drivers.choose.candidates import base_of, fewer_threads, here_again, planned
from fmbench.drivers.choose.check import restore
from fmbench.drivers.choose.production import renamed
from fmbench.errors import UsageError

from .test_choose import FASTER, NOISY, WRONG, last, of

RACE = (
    *NOISY,
    "--vs",
    FASTER,
    "--vs",
    WRONG.replace(",", ""),
    "--profile",
    "bulk",
    "--budget",
    "60s",
)


def test_a_check_measures_the_winner_and_the_reference_alone(choose, tmp_path):
    kept, ticket = tmp_path / "choice.json", tmp_path / "choice.md"
    code, written, out, err = choose(*RACE, "--out", kept)
    assert code == 0 and last(written, "bulk")["winner"] == FASTER, err
    was(kept, [0.1, 9.0])
    code, written, out, err = choose("--check", kept, "--out", ticket, data=(), log=tmp_path / "check.log")
    assert code == 0 and "the answer holds\n" in out, out + err
    assert "`fmbench show --detail LOG`" in out, "its log is kept"
    assert f"--budget 60s at most, as {kept} had; --budget TIME gives a check another" in err
    assert last(written, "bulk")["budget_seconds"] == 60
    assert {turn["variant"] for turn in of(written, "TURN")} == {"noisy float32", FASTER}
    assert ticket.read_text().startswith("#### Run ")
    was(kept, [9.0, 9.1])
    code, _, out, err = choose("--check", kept, data=(), log=tmp_path / "again.log")
    assert code == 1 and "the answer changed: bulk\n" in out and "not as fast beside the reference" in out, out + err


def was(path, interval):
    """Say another interval of how fast the winner was in bulk, its middle, and texts a second that go with it."""
    rows = json.loads(path.read_text())
    raced = [one for one in rows if one["workload"] == "choice"]
    (pace,) = (one["thp"] for one in raced if one["variant"] == one["choice"]["reference"])
    for one in raced:
        if one["choice"]["place"] == "winner":
            speed = sum(interval) / 2
            one["choice"] |= {"interval": interval, "speed": speed}
            one["thp"] = pace * speed
    path.write_text(json.dumps(rows))


def row(variant="b", place="winner", profile="bulk", **more):
    said = {
        "profile": profile,
        "place": place,
        "reference": "a",
        "reason": "r",
        "tokens_per_batch": 77 if variant == "b" else None,
    }
    opts = ["--keep 90%", "--model_name my%20model", "--platforms cpu", "--compile True", "--log x.log"]
    return {
        "workload": "choice",
        "variant": variant,
        "status": "OK",
        "overrides": "--threads 1",
        "opts": opts,
        "choice": said,
        **more,
    }


def restored(tmp_path, rows, *words):
    path = tmp_path / "choice.json"
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    flags = the_parser().flags
    return restore(path, CommandLine.parse(["--check", str(path), *words], flags), flags)


def test_a_check_has_the_command_line_of_the_choice_under_its_own(tmp_path):
    rows = [row("a", None), row(), {**row(), "workload": "fidelity"}]
    command, again = restored(tmp_path, rows, "--keep", "95%", "--budget", "9s")
    (winner,) = again.only
    assert command.given == (("budget", "9s"), ("compile", "True"), ("keep", "95%"), ("model_name", "my model"),
                             ("platforms", "cpu"))  # fmt: skip
    assert (winner.name, winner.overrides, again.batches) == ("b", "--threads 1", {"b": 77})


def test_a_check_has_the_budget_of_the_choice_unless_its_own_is_typed(tmp_path):
    first = row()
    first["choice"]["budget_seconds"] = 90.0
    first["opts"].append("--budget 40s")  # with which the log began
    command, again = restored(tmp_path, [first])
    assert (dict(command.given)["budget"], again.budget) == ("90.0", 90.0)
    command, again = restored(tmp_path, [first], "--budget", "9s")
    assert (dict(command.given)["budget"], again.budget) == ("9s", None)


def test_where_the_answer_is_the_reference_all_that_ran_are_measured_again(tmp_path):
    rows = [row("a"), row("b", None), row("c", None, status="ERR")]
    assert [one.name for one in restored(tmp_path, rows)[1].only] == ["b"]


def test_a_check_races_in_each_profile_what_was_to_be_run_there(tmp_path):
    both = [row("b"), row("c", None), row("c", profile="online"), row("b", None, profile="online")]
    again = restored(tmp_path, both)[1]
    assert {one.name for one in again.only} == {"b", "c"}
    assert [again.enters("b", "bulk"), again.enters("c", "bulk")] == [True, False]
    assert [again.enters("b", "online"), again.enters("c", "online")] == [False, True]
    assert again.enters("a", "bulk") and again.enters("typed with --vs", "online")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("no json", "cannot be read"), ("{}", "holds no choice"), ([{"workload": "speed"}], "holds no choice"),
        ([row(choice={**row()["choice"], "speed": 3.0, "interval": [1.1, 1.2]})], "contradicts itself"),
        ([row(choice={**row()["choice"], "interval": [1.2, 1.1]})], "contradicts itself"),
        ([row(choice={**row()["choice"], "speed": 1.0, "interval": []})], "cannot be read"),
        ([{"x": 1}], "cannot be read"), ([row(place=None)], "says to run nothing"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_answer_is_refused(rows, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        restored(tmp_path, rows)


@pytest.mark.parametrize(
    ("name", "said"), [("x.pdf", "its name must end in .md, .html, .json"), ("gone/x.md", "there is no folder")]
)
def test_a_target_that_cannot_be_written_is_refused_before_anything_slow(name, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        parse(["--model_name", "m", "--dataset", "d", "--out", str(tmp_path / name)])


def test_a_command_names_a_copy_of_the_texts_that_were_rounded_after(tmp_path):
    file, kept = tmp_path / "my cache" / "calibration-1.jsonl", Path("calibration-1.jsonl")
    typed = f"--platform openvino --platform:calibration '{file}' --model:x 'a b'"
    assert (
        renamed(typed, file, kept) == "--platform openvino --platform:calibration calibration-1.jsonl --model:x 'a b'"
    )
    again = here_again(Candidate("c", renamed(typed, file, kept), "r"), file)
    assert again.overrides == typed and here_again(Candidate("c", "--threads 1", "r"), file).overrides == "--threads 1"


def test_fewer_threads_keep_all_that_the_candidate_has(wings):
    pytest.importorskip("onnxruntime")
    base = base_of(CommandLine.parse(["--model_name", str(wings / "tiny")], the_parser().flags), "cpu")
    one = planned(base, "", Candidate("ort", "--platform onnxruntime", "r"))
    fewer = fewer_threads(one, base, 1)
    assert fewer.name == "ort, 1 thread" and dict(one.arguments.given)["model:dtype@"] == "torch.float32"
    assert dict(fewer.arguments.given) == {**dict(one.arguments.given), "threads": "1"}


def test_what_is_set_up_after_one_with_fewer_threads_has_its_own(wings, tiny_text_model, restore_torch, monkeypatch):
    monkeypatch.setattr(entrant, "threads_at_start", lambda: 2)
    base = base_of(CommandLine.parse(["--model_name", str(tiny_text_model)], the_parser().flags), "cpu")
    one = planned(base, "", Candidate("cpu float32", "--platform cpu", "r"))
    seen = {}
    for candidate in (fewer_threads(one, base, 1), one):
        member = entrant.Entrant(candidate)
        member.set_up(["online"], lambda _: ["a text"])
        assert member.why_not is None
        seen[member.name] = member.facts["threads"]
    assert seen == {"cpu float32, 1 thread": 1, "cpu float32": 2}


def test_setting_up_one_with_fewer_threads_leaves_the_others_theirs(wings, tiny_text_model, restore_torch, monkeypatch):
    monkeypatch.setattr(entrant, "threads_at_start", lambda: 2)
    base = base_of(CommandLine.parse(["--model_name", str(tiny_text_model)], the_parser().flags), "cpu")
    one = planned(base, "", Candidate("cpu float32", "--platform cpu", "r"))
    first, second = (entrant.Entrant(candidate) for candidate in (one, fewer_threads(one, base, 1)))
    stable, found = entrant.Stable(), []
    for member in (first, second):
        member.set_up(["online"], lambda _: ["a text"])
        stable.add(member)
        for active in (member, first):
            stable.activate(active)
            found.append(torch.get_num_threads())
    assert found == [2, 2, 1, 2]
