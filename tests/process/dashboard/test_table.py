"""The dashboard in headless Chromium: filters, the table, and what it downloads."""

import csv
import io

import pytest

from fmbench.process.cli import main
from fmbench.process.writing import columns
from tests.programs import until

pytestmark = pytest.mark.xdist_group("browser")


# -- filters


def test_filters_leave_what_was_chosen(page):
    page.find("#filters label", "bfloat16").click()
    page.find("#filters fieldset", "Batch size").find_element("xpath", ".//label[contains(., '8')]").click()
    assert page.text("#shown") == "2 of 40 shapes shown; 38 shapes hidden by: precision, batch size."
    assert set(page.column("table", "precision")) == {"bfloat16"} and page.column("table", "batch") == ["8", "8"]
    page.until("document.getElementById('chart-latency').data.length === 1")
    page.find("#filters button", "Clear all filters").click()
    assert page.text("#shown") == "40 of 40 shapes shown."
    assert page.value("document.querySelectorAll('#filters input:checked').length") == 0


def test_words_filter_too(page):
    page.find("#filters input[type=search]").send_keys("memory TUESDAY")
    assert page.text("#shown").startswith("1 of 40 shapes shown")
    assert page.column("table", "trust") == ["✖ failed: OutOfMemoryError: too large"]
    assert "None of these shapes has a latency to draw" in page.text("#charts")


def test_what_is_all_hidden_is_said(page):
    page.find("#filters input[type=search]").send_keys("nosuchword")
    page.until("document.querySelector('#charts .note').textContent === 'Every shape is hidden by the filters.'")
    assert page.rows("table") == page.rows("fingerprints") == [["Every shape is hidden by the filters."]]
    assert page.rows("records") == []
    assert page.find("#table button", "Download 0 rows").is_enabled() is False
    assert page.complaints() == []


# -- the table


@pytest.mark.parametrize("head", ["latency ms", "input", "run"])
def test_a_head_sorts(page, head):
    before = page.column("table", head)
    states = []
    for _ in range(3):
        page.find("#table thead button", head).click()
        states.append(page.find(f"#table th:nth-child({page.place('table', head) + 1})").get_attribute("aria-sort"))
        states.append(page.column("table", head))
    up, down = states[1], states[3]
    assert states[::2] == ["ascending", "descending", "none"] and states[5] == before
    key = (lambda cell: float(cell.split(" ")[0])) if head != "run" else str
    assert [key(cell) for cell in up if cell] == sorted(key(cell) for cell in before if cell)
    assert [key(cell) for cell in down if cell] == sorted((key(cell) for cell in before if cell), reverse=True)
    blank = before.count("")
    assert up[len(up) - blank :] == down[len(down) - blank :] == [""] * blank  # nothing known: last, either way


def test_a_long_table_has_pages(page):
    page.choose("table", "Rows a page", "25")
    assert page.text("#table .where") == "1 to 25 of 40" and len(page.rows("table")) == 25
    assert not page.find("#table button", "Previous").is_enabled()
    page.find("#table button", "Next").click()
    assert page.text("#table .where") == "26 to 40 of 40" and len(page.rows("table")) == 15
    assert not page.find("#table button", "Next").is_enabled()


def test_any_column_can_be_shown(page):
    page.find("#table summary").click()
    page.find("#table .choices label", "statistics.p99").click()
    assert float(page.column("table", "statistics.p99")[0]) == pytest.approx(0.8 * 1.003, rel=0.01)


def test_csv_is_what_is_filtered_in_the_words_of_process(page, downloads, made, capsys):
    page.find("#filters label", "bfloat16").click()
    page.find("#table thead button", "latency ms").click()
    page.find("#table button", "Download 12 rows as CSV").click()
    path = downloads / "fmbench.csv"
    until(lambda: path.exists() and path.stat().st_size)  # its name is taken before it is written
    header, *found = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    path.unlink()
    main(["--path", str(made.parent), "--metadata_id", "=1+1", "--format", "csv"])
    expected_header, *rows = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert header == expected_header
    place = {name: number for number, name in enumerate(header)}
    expected = [row for row in rows if row[place["precision"]] == "bfloat16"]
    expected.sort(key=lambda row: float(row[place["itl"]] or "inf"))
    assert len(found) == len(expected) == 12
    for row, wanted in zip(found, expected, strict=True):
        assert row[place["metadata_id"]] == "'=1+1"  # a spreadsheet would compute it
        row[place["metadata_id"]] = "=1+1"
        for name, cell, other in zip(header, row, wanted, strict=True):
            same = cell == other or (columns.known_columns().get(name) == "number" and float(cell) == float(other))
            assert same, f"{name}: {cell} and {other}"
