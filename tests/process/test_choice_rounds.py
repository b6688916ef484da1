"""Choices of few rounds: an interval that is no 95% says so, whoever wins."""

import pytest

from fmbench.process.writing.show import main as show_main

from .conftest import GOLDEN_CHOICE
from .test_choice import opening, set_of

FEW = "2 of 3 rounds, without the first, are too few for 95%: the interval"


def of_rounds(winner, **rounds):
    """A choice whose candidates ran so many rounds; what its turns say of that is not asked here."""

    def change(data, candidates):
        data["winner"] = winner
        for name, one in candidates.items():
            one["rounds"] = rounds.get(name, rounds["others"]) if "rounds" in one else None
            one["left_in_round"] = one["left_because"] = None

    return change


@pytest.mark.parametrize(
    ("winner", "rounds", "said"),
    [
        ("fp32", {"others": 3}, f"{FEW} is from the least to the greatest."),
        ("fp32", {"others": 40, "bfloat16": 3}, f"{FEW} of bfloat16 is from the least to the greatest."),
        ("openvino bfloat16", {"others": 40, "bfloat16": 3}, f"{FEW} of bfloat16 is from the least to the greatest."),
        ("openvino bfloat16", {"others": 3, "bfloat16": 6},
         f"2 of 3 and 5 of 6{FEW.removeprefix('2 of 3')} is from the least to the greatest."),
        ("fp32", {"others": 7}, None), ("openvino bfloat16", {"others": 40, "fp32": 3}, None),
    ],
)  # fmt: skip
def test_few_rounds_are_said_whoever_wins(winner, rounds, said, changed, shown):
    found = [line for line in opening(shown(changed(of_rounds(winner, **rounds))), 1) if "too few" in line]
    assert found == ([] if said is None else [said])


def test_who_left_after_few_rounds_says_so_in_its_row(changed, shown):
    path = changed(set_of("bfloat16", rounds=3, left_in_round=3, left_because="its least cosine is 0.9"))
    text = shown(path)
    assert "left in round 3, too few for 95%: its least cosine is 0.9" in text
    assert not any("too few" in line for line in opening(text, 1))


def test_a_log_of_a_race_that_was_killed_says_that_the_same_command_goes_on(tmp_path, capsys):
    rows = [line for line in GOLDEN_CHOICE.read_text().splitlines() if not line.startswith("FMWORK CHOICE")]
    (tmp_path / "killed.log").write_text("\n".join([*rows, ""]))
    show_main([str(tmp_path / "killed.log")])
    assert "264 turns and no answer yet; the same `fmbench choose` goes on with them" in capsys.readouterr().err
