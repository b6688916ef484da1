"""What `show` and `process` make of compressed vectors."""

import pytest

from fmbench.process.cli import main
from fmbench.process.workloads.retrieval import Retrieval
from fmbench.process.writing.show import main as show

from .conftest import GOLDEN

LOG = GOLDEN.parent / "golden-retrieval" / "compressed-1.log"


def test_the_row_has_every_type(process):
    (row,) = process("--path", LOG).rows
    found = row["retrieval"]["compressed"]
    assert row["doubt"] is None
    assert [(one["vectors"], one["bytes_per_document"], one["rescore"]) for one in found] == [
        ("float32", 128, None), ("int8", 32, None), ("binary", 4, None), ("binary", 4, 20), ("float32@16", 64, None),
    ]  # fmt: skip
    assert (found[0]["recall_at_10"], found[0]["ndcg_change"], found[0]["kept"]) == (1.0, 0.0, 1.0)


def test_show_has_a_table_of_types(capsys):
    assert show([str(LOG)]) == 0
    out = capsys.readouterr().out
    assert "Compressed vectors" in out and "binary, rescored 20" in out and "bytes a document" in out
    assert out.partition("Compressed vectors")[2].count("contended: a load of 7.3 on 2 CPUs") == 5


def test_the_picture_has_a_point_a_type(tmp_path):
    assert main(["--path", str(LOG), "--plots", str(tmp_path)]) == 0
    assert "quality_bytes.png" in {path.name for path in tmp_path.iterdir()}
    assert Retrieval().plots()["quality_bytes"]([]) == "no result has judged compressed vectors"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"bytes_per_document": 4,', '"bytes_per_document": 5,', "CODE of binary has 5 bytes for 32 numbers"),
        ('"vectors": "binary"', '"vectors": "int8"', "CODE of int8"),
        ('"kept": 1.0', '"kept": 0.5', "the interval of kept does not hold it"),
        ('"ndcg_change": 0.0', '"ndcg_change": 0.2', "the interval of ndcg_change"),
    ],
)
def test_what_cannot_be_is_a_doubt(process, tmp_path, old, new, said):
    text = LOG.read_text()
    assert old in text
    (tmp_path / "x.log").write_text(text.replace(old, new, 1))
    (row,) = process("--path", tmp_path / "x.log").rows
    assert said in row["doubt"]
