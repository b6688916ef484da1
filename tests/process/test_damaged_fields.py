"""A few damages of tests/trials/damaged_fields.py: no field of any line ends a program with an internal error."""

import pytest

from fmbench.process.workloads import fidelity_tables
from fmbench.process.writing.show import main as show
from tests.trials.damaged_fields import GOLDEN, damaged, damages, drawn, internal_errors

from .log_lines import LOG


@pytest.mark.slow
def test_no_damaged_field_is_an_internal_error():
    assert [internal_errors(damaged(path.read_text(), one), pictures=False) for path, one in drawn(7, 20)] == [[]] * 20


def test_the_medians_of_processes_are_numbers():
    (golden,) = (path for path in GOLDEN if path.parent.name == "golden-processes")
    log = golden.read_text()
    texts = [text for one in damages(log) if '"medians": [{' in (text := damaged(log, one))]
    assert [internal_errors(text, pictures=False) for text in texts] == [[]] * 2


@pytest.mark.parametrize("said", ['"passages": 5183', '"failed": []'])
def test_counts_that_something_is_read_from_are_looked_at(said):
    log = next(text for path in GOLDEN if said in (text := path.read_text()))
    value = said.partition(": ")[2]
    damages_of_it = [said.replace(value, other) for other in ("true", '"x"', '{"a": {"b": [1]}}', "[[1]]", "[[0, -1]]")]
    assert [internal_errors(log.replace(said, one), pictures=False) for one in damages_of_it] == [[]] * 5


def test_what_cannot_be_shown_is_left_out_and_named_and_the_rest_is_shown(tmp_path, monkeypatch, capsys):
    one = f"{LOG}\n" + 'FMWORK FID {"artifact": "ladder/%s", "kind": "variant", "variant": "%s", "verdict": "equal"}\n'
    for name in ("good", "bad"):
        (tmp_path / f"{name}.log").write_text(one % (name, name))
    line_of = fidelity_tables.line_of_variant
    monkeypatch.setattr(fidelity_tables, "line_of_variant", lambda row: {"good": line_of}[row["variant"]](row))

    assert show([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "good" in out
    assert f"tables of {tmp_path / 'bad.log'} failed" in err


def test_a_ranking_without_a_figure_that_its_table_needs_is_damaged(tmp_path, capsys):
    golden = next(path for path in GOLDEN if '"kind": "ranking"' in path.read_text())
    (tmp_path / "x.log").write_text(golden.read_text().replace('"tau": 0.9998', '"tau": "x"'))
    assert show([str(tmp_path / "x.log")]) == 0
    assert "FMWORK FID: tau is no number" in capsys.readouterr().err
