"""Two choices, one of few rounds: what holds is said to hold as far as that tells, and what cannot be told fails."""

import json
import re

import pytest

from fmbench.process.comparing.compare import main as compare_main

from .conftest import GOLDEN_CHOICE

WON, OTHER = "openvino bfloat16", "bfloat16"


@pytest.fixture
def saved(process, tmp_path):
    """saved(name, {candidate: figures}) -> the golden choice as JSON, its profile `bulk` alone, after these changes."""
    golden = process("--path", GOLDEN_CHOICE).rows

    def write(name, changes):
        rows = [json.loads(json.dumps(row)) for row in golden if row["workload"] == "choice"]
        rows = [row for row in rows if row["choice"]["profile"] == "bulk"]
        for row in rows:
            row["choice"] |= changes.get("all", {}) | changes.get(row["variant"], {})
        (tmp_path / name).write_text(json.dumps(rows))
        return tmp_path / name

    return write


@pytest.fixture
def checked(saved, capsys):
    """checked(base, new) -> the exit code, the answer in JSON and the text of what became of one in the other."""

    def check(base, new):
        words = [str(saved(name, changes)) for name, changes in (("base.json", base), ("new.json", new))]
        words += ["--fail-on", "answer"]
        code = compare_main(words)
        text = capsys.readouterr().out
        assert compare_main([*words, "--format", "json"]) == code
        (answer,) = json.loads(capsys.readouterr().out)["answers"]
        return code, answer, text

    return check


def few(**figures):
    return {"rounds": 3, **figures}


NEAR, SLOW = {"speed": 2.2, "interval": [1.6, 2.6]}, {"speed": 0.3, "interval": [0.28, 0.32]}
REFERENCE = {"fp32": {"place": "winner"}, OTHER: {"kept": None}}
LOST = {"place": None, **SLOW}
MANY = {"all": {"rounds": 40}}
CANNOT = "too few rounds to tell whether it is as fast (32 of 40 count in base, 2 of 3 in new): a larger --budget would"
SAID = "Too few rounds for 95% (bulk): 32 of 40 count in base, 2 of 3 in new. An interval of fewer than 7 is"


@pytest.mark.parametrize(
    ("base", "new", "rounds"),
    [
        (MANY, {WON: few(**NEAR)}, [40, 3]),
        ({WON: few(**NEAR)}, {WON: few(**NEAR)}, [3, 3]),
        ({WON: few(**NEAR)}, MANY, [3, 40]),
    ],
)
def test_few_rounds_that_agree_hold_as_far_as_they_tell(base, new, rounds, checked):
    code, answer, text = checked(base, new)
    assert (code, answer["holds"], answer["few"], answer["rounds"]) == (0, True, True, rounds)
    assert "the answer holds, as far as few rounds can tell\n" in text and "Too few rounds for 95% (bulk): " in text


@pytest.mark.parametrize(
    "new",
    [
        {WON: few(speed=1.5, interval=[1.3, 1.6]), OTHER: {"kept": None}},
        {WON: few(**LOST), **REFERENCE},
        {WON: few(**LOST, kept=None), **REFERENCE},
        {WON: few(**NEAR, place=None), OTHER: few(place="winner")},
        {WON: few(speed=None, interval=None)},
    ],
)
def test_few_rounds_that_contradict_speed_alone_cannot_tell_and_do_not_pass(new, checked):
    code, answer, text = checked(MANY, new)
    assert (code, answer["holds"], answer["reasons"]) == (1, False, [CANNOT])
    assert SAID in text and "not as fast" not in text and "the answer changed: bulk" in text


def test_where_the_base_ran_few_rounds_a_slower_one_cannot_be_told_but_who_is_to_run_can(checked):
    code, answer, _ = checked({WON: few()}, {WON: {"rounds": 40, **LOST}, **REFERENCE})
    first, second = answer["reasons"]
    assert code == 1 and first.startswith("too few rounds") and second.startswith("run fp32")


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"kept": "worse", **LOST}, "what it keeps is worse"),
        ({"kept": "not shown", **LOST}, "what it keeps is not shown"),
        (
            {"kept": None, "keep": {"cosine": 0.999}, "least_cosine": 0.9, **LOST},
            "its least cosine is 0.900000, below 0.999",
        ),
    ],
)
def test_a_loss_of_quality_is_told_whatever_the_rounds(figures, reason, checked):
    code, answer, _ = checked(MANY, {WON: few(**figures), **REFERENCE})
    assert code == 1 and reason in answer["reasons"] and not any("too few" in said for said in answer["reasons"])


def test_an_answer_that_is_the_reference_rests_on_those_that_stayed(checked):
    won = {WON: {"place": None, "kept": None}, **REFERENCE}
    left = {"all": {"rounds": 3}, OTHER: {"kept": None, "left_because": "its least cosine is 0.9"}}
    code, answer, _ = checked(won, {**won, **left})
    assert (code, answer["rounds"], answer["few"]) == (0, [40, 3], True)
    code, answer, _ = checked(
        won, {**won, OTHER: {"kept": None, "rounds": 3, "left_because": "its least cosine is 0.9"}}
    )
    assert (code, answer["rounds"], answer["few"]) == (0, [40, 40], False)


def test_enough_rounds_say_nothing_of_them(checked):
    code, answer, text = checked(MANY, MANY)
    assert (code, answer["few"]) == (0, False) and "the answer holds\n" in text and "few" not in text


def test_who_is_slower_and_so_not_judged_is_first_of_all_slower(checked):
    code, answer, _ = checked(MANY, {WON: {"rounds": 40, "kept": None, **LOST}, **REFERENCE})
    slow, unknown, other = answer["reasons"]
    assert code == 1 and slow == "it is not as fast beside the reference"
    assert (unknown, other[:8]) == ("what it keeps is not measured", "run fp32")


def test_where_another_one_is_to_be_run_the_figures_of_the_old_one_have_its_name(checked):
    other = {WON: {"place": None, **NEAR}, OTHER: {"place": "winner"}}
    code, _, text = checked(MANY, other)
    assert code == 1 and f"{WON}: 1.60 to 2.60" in text and f"{WON}: shown" in text
    assert re.search(r"run bfloat16, 2\.\d\d to 2\.\d\d times", text)
    assert f"{WON}: " not in checked(MANY, MANY)[2]


TIED = {
    WON: {"place": None, "kept": None},
    **REFERENCE,
    OTHER: {"place": "tie", "speed": 1.02, "interval": [0.97, 1.07]},
}
APART = {"fp32": {"place": None, "kept": "shown"}, OTHER: {"place": "winner", "speed": 1.06, "interval": [1.04, 1.08]}}


def after(**changes):
    """What the base could not tell apart, told apart now, after these changes of the two."""
    names = {"reference": "fp32", "other": OTHER}
    return {WON: TIED[WON], **{name: {**APART[name], **changes.get(key, {})} for key, name in names.items()}}


def test_who_is_only_told_apart_now_contradicts_nothing(checked):
    code, answer, text = checked({**MANY, **TIED}, {**MANY, **after()})
    said = f"{OTHER}, which the base could not tell from it, is faster now: 1.04 to 1.08 times"
    assert (code, answer["holds"], answer["reasons"], answer["told_apart"]) == (0, True, [], said)
    assert "the answer holds\n" in text and said in text
    few_now = {**after(), "all": {"rounds": 3}}
    assert checked({**MANY, **TIED}, few_now)[0] == 0


@pytest.mark.parametrize(
    ("base", "new", "reason"),
    [
        (TIED, after(other={"speed": 1.2, "interval": [1.17, 1.23]}), f"run {OTHER}, 1.17 to 1.23 times"),  # faster now
        ({**TIED, OTHER: {**TIED[OTHER], "place": None}}, after(), f"run {OTHER}, 1.04 to 1.08 times"),
        ({**TIED, OTHER: {**TIED[OTHER], "interval": None}}, after(), f"run {OTHER}, 1.04 to 1.08 times"),
        (TIED, after(reference={"kept": "worse"}), "what it keeps is worse"),
    ],
)
def test_who_is_faster_than_it_was_or_was_told_apart_then_changes_the_answer(base, new, reason, checked):
    code, answer, _ = checked({**MANY, **base}, {**MANY, **new})
    assert code == 1 and any(said.startswith(reason) for said in answer["reasons"]), answer


def test_the_same_answer_tells_nobody_apart(checked):
    assert checked({**MANY, **TIED}, {**MANY, **TIED})[1]["told_apart"] is None
