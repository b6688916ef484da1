"""A choice in JSON that was edited: its rows are held against each other, by the rules that its log is."""

import json

import pytest

from fmbench.process.comparing.compare import main as compare_main

from .conftest import GOLDEN_CHOICE

WON, LOW, FIRST = "openvino bfloat16", "openvino int8", "fp32"


@pytest.fixture
def edited(process, tmp_path):
    """edited(change) -> a file with the golden choice after `change` of its rows of bulk by name."""

    def edit(change):
        rows = [row for row in process("--path", GOLDEN_CHOICE).rows if row["workload"] == "choice"]
        for row in rows:
            row["choice"]["heat"] = 0 if row["choice"]["rounds"] else None
        bulk = {row["variant"]: row for row in rows if row["choice"]["profile"] == "bulk"}
        change(bulk)
        path = tmp_path / "edited.json"
        path.write_text(
            json.dumps([row for row in rows if row in bulk.values() or row["choice"]["profile"] == "online"])
        )
        return path

    return edit


def says(name, **figures):
    def change(rows):
        rows[name]["choice"] |= figures

    return change


def swapped(rows):
    rows[WON]["choice"]["place"], rows[LOW]["choice"]["place"] = None, "winner"


def slower(rows):
    rows[WON]["choice"]["place"], rows["bfloat16"]["choice"]["place"] = None, "winner"


def deleted(rows):
    del rows[FIRST]


def nobody_won(rows):
    del rows[WON]


def faster(rows):
    rows[WON]["thp"] *= 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swapped, "what the winner keeps is not shown"),
        (slower, f"{WON} keeps enough, and is faster than the winner"),
        (says(WON, kept="worse"), "what the winner keeps is not shown"),
        (says(LOW, kept="worse"), f"{LOW}: kept is worse, and ndcg says not shown"),
        (says(WON, ndcg_share_interval=[0.5, 1.0]), f"{WON}: kept is shown, and ndcg says not shown"),
        (says(WON, ndcg=0.1), f"{WON}: ndcg_change is not its ndcg less that of the reference"),
        (says(WON, rounds=1000), f"{WON} counts 1000 rounds, and the reference 40"),
        (faster, f"{WON} says a speed of 2.51, and its times 25.1"),
        (nobody_won, "says to run nothing, and fp32 keeps enough"),
        (deleted, "names fp32, which is none of the candidates that ran"),
    ],
)
def test_rows_that_contradict_each_other_are_not_believed(change, said, edited, process, capsys):
    path = edited(change)
    rows = process("--path", path).rows
    doubts = {row["choice"]["profile"]: set() for row in rows}
    for row in rows:
        doubts[row["choice"]["profile"]].add(row["doubt"])
    (doubt,) = doubts["bulk"]
    assert doubts["online"] == {None} and doubt.startswith("contradicted: CHOICE of bulk") and said in doubt
    for sides in ((path, GOLDEN_CHOICE), (GOLDEN_CHOICE, path)):
        assert compare_main([*map(str, sides), "--fail-on", "regression,answer,missing"]) == 1
        assert doubt in "".join(capsys.readouterr())  # of rows without a winner, a warning says it


def test_rows_of_a_whole_choice_are_believed(edited, process):
    assert {row["doubt"] for row in process("--path", edited(lambda rows: None)).rows} == {None}


def test_of_a_later_heat_nothing_says_how_the_reference_ran(edited, process):
    def later(rows):
        rows[WON]["choice"] |= {"heat": 1, "rounds": 99}
        rows[WON]["thp"] *= 2

    assert {row["doubt"] for row in process("--path", edited(later)).rows} == {None}
