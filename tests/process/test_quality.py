"""What `show` and `process` make of a run of `fmbench quality`."""

import pytest

from fmbench.process.workloads.quality import score
from fmbench.process.writing.show import main as show

from .conftest import GOLDEN

LOG = GOLDEN.parent / "golden-quality" / "format-1.log"


def test_a_row_a_task_and_variant(process):
    rows = process("--path", LOG).rows
    assert len(rows) == 12 and {row["workload"] for row in rows} == {"quality"}
    assert [row["doubt"] for row in rows] == [None] * 12
    assert {row["variant"]: row["precision"] for row in rows} == {"A": "float32", "B": "bfloat16"}
    assert rows[0]["quality"]["task"] == "pairs" and rows[6]["quality"]["against"] == "A"
    assert len({row["configuration"] for row in rows}) == 2


def test_show(capsys):
    assert show([str(LOG)]) == 0
    out = capsys.readouterr().out
    assert "spearman" in out and "its interval" in out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"score": 0.9307', '"score": 0.5307', "the interval of score"),
        ('"change": 0.0,', '"change": 0.2,', "the interval of change"),
    ],
)
def test_what_cannot_be_is_a_doubt(process, tmp_path, old, new, said):
    text = LOG.read_text()
    assert old in text
    (tmp_path / "x.log").write_text(text.replace(old, new, 1))
    assert any(said in (row["doubt"] or "") for row in process("--path", tmp_path / "x.log").rows)


def test_scores_of_other_items_are_not_held_against_each_other(process, tmp_path):
    text = LOG.with_name("digest-1.log").read_text()
    (tmp_path / "x.log").write_text(text.replace('"digest": "', '"digest": "0', 1))
    one, other = (process("--path", path).rows[0] for path in (LOG.with_name("digest-1.log"), tmp_path / "x.log"))
    assert one["doubt"] is None and score(one).same != score(other).same and score(one).value == score(other).value
