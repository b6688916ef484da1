"""Logs as PowerShell's `>` writes them, and JSON whose values have another type."""

import json

import pytest

from fmbench.process.cli import main
from fmbench.process.comparing.compare import main as compare
from fmbench.process.store.cli import main as results

from .log_lines import GOLDEN


@pytest.fixture(params=["utf-16-le", "utf-16-be", "utf-8"])
def marked(request, tmp_path):
    """The golden log with a byte order mark and CRLF."""
    path = tmp_path / "marked.log"
    path.write_bytes(("\ufeff" + GOLDEN.read_text().replace("\n", "\r\n")).encode(request.param))
    return path


def test_a_log_of_power_shell_has_the_same_results(process, marked):
    printed, clean = process("--path", marked), process("--path", GOLDEN)
    assert (printed.rows, printed.warnings) == (clean.rows, clean.warnings)


def test_such_a_log_goes_into_a_store_and_is_compared(marked, tmp_path, capsys):
    assert results(["add", str(marked), "--store", str(tmp_path / "store")]) == 0
    assert results(["check", "--store", str(tmp_path / "store")]) == 0
    assert compare([str(marked), str(GOLDEN)]) == 0
    assert "FMBENCH_DEBUG" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("retrieval", "quality", "intervals"), [1], "quality: intervals is no object"),
        (("retrieval", "quality", "metrics"), {"ndcg_cut_10": "x"}, "quality: metrics is no object of numbers"),
        (("retrieval", "passages"), [], "passages is no object"),
        (("retrieval", "dataset"), 5, "dataset is no text"),
        (("environment", "platform"), {}, "platform is no text"),
        (("phases",), [1], "phases: one is no object"),
        (("phases",), [{"name": "load", "seconds": "x"}], "is no number of seconds"),
        (("doubt",), 5, "doubt is no text"),
        (("statistics",), 5, "statistics is no object"),
    ],
)
def test_a_value_of_another_type_is_one_line(process, golden_retrieval, tmp_path, capsys, where, value, said):
    row = process("--path", golden_retrieval).rows[0]
    below = row
    for key in where[:-1]:
        below = below[key]
    below[where[-1]] = value
    path = tmp_path / "saved.json"
    path.write_text(json.dumps([row]))
    assert main(["--path", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: result 1: " in line and said in line
