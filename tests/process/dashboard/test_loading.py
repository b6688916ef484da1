"""The dashboard in headless Chromium: it loads, asks for nothing, and keeps every text a text."""

import pytest

from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.process.workload import installed
from fmbench.process.workloads import speed

from .page import HOSTILE

pytestmark = pytest.mark.xdist_group("browser")
REFERENCES = "[...document.querySelectorAll('[src], [href]')].map((one) => one.getAttribute(one.src ? 'src' : 'href'))"


# -- it loads


def test_it_loads_without_a_complaint_and_asks_for_nothing(page, made):
    assert page.complaints() == []
    assert [url for url in page.requests() if not url.startswith("data:")] == [made.as_uri()]
    assert page.text("#about").startswith("40 shapes of 4 runs: 37 stable, 3 failed.")
    assert page.texts("main h2") == [
        "Which configuration to run",
        "Latency and throughput",
        "Every shape",
        "Two logs side by side",
        "What measured: the fingerprint of each run",
    ]
    assert (
        page.value("[...document.querySelectorAll('.notice')].every((one) => one.hidden || one.id !== '')") is not None
    )
    assert len(page.value("[...document.querySelectorAll('.plot .main-svg')].map((one) => one.id)")) >= 8


def test_nothing_that_was_added_leads_outside(page):
    assert page.value(f"{REFERENCES}.filter((one) => !/^(#|data:)/.test(one))") == []
    buttons = page.value(
        "[...document.querySelectorAll('#chart-latency .modebar-btn')].map((one) => one.dataset.title)"
    )
    expected = ["download plot as a png", "zoom", "pan", "zoom in", "zoom out", "reset axes"]
    assert [title.lower() for title in buttons] == expected


def test_the_table_says_what_show_says(page_of, golden):
    page = page_of(golden)
    results = list(read_results(find_sources([str(golden)]), print))
    header, expected = speed.HEADER, [speed.line_of(result.row) for result in results]
    for head in ("input", "batch", "latency ms", "sequences/s", "n"):
        assert page.column("table", head) == [row[header.index(head)] for row in expected]
    trust = [text.lstrip("✖▲ ") for text in page.column("table", "trust")]
    assert trust == [row[header.index("trust")] for row in expected]
    looks = page.value("[...document.querySelectorAll('#table tbody tr')].map((one) => one.className)")
    assert set(looks) == {"stable", "unstable", "failed", "partial"}


def test_without_results_it_says_so(page_of, tmp_path):
    (tmp_path / "x.log").write_text("nothing\n")
    page = page_of(tmp_path / "x.log")
    assert page.text("#about") == "No results: the logs that this page was made from have none."
    assert page.texts("section") == [] and page.complaints() == []


def test_other_workloads_have_their_tables_and_their_panel_where_they_are(page_of, golden_retrieval, golden):
    page = page_of(golden_retrieval, golden.parent / "golden-fidelity")
    assert page.texts("#workloads h3") == ["Retrieval", "Fidelity"]
    results = list(read_results(find_sources([str(golden_retrieval)]), print))
    (table,) = installed()["retrieval"].tables(results)
    assert [row[: len(table.header)] for row in page.rows("workloads")[: len(table.lines)]] == table.lines
    assert page.text("#quality .note").startswith("Bars are 95% intervals")
    assert page.complaints() == []


def test_runs_under_load_are_a_line_a_service_and_the_limit_is_in_the_table(page_of, golden):
    folder = golden.parent / "golden-load"
    page = page_of(folder)
    drawn = page.value(
        "document.querySelector('#chart-load-p99').data.map(({ x, y, error_y }) => [x, y, error_y.array])"
    )
    rows = [result.row["load"] for result in read_results(find_sources([str(folder)]), print)]
    runs = [row for row in rows if row["limit"] is None]
    services = {(row["scenario"], row["inputs_per_request"]) for row in runs}
    assert len(drawn) == len(services) == 4 and all(x == sorted(x) for x, _, _ in drawn)
    assert sorted(y for _, ys, _ in drawn for y in ys) == sorted(row["latency_ms"]["p99"] for row in runs)
    assert all(high > 0 for _, _, highs in drawn for high in highs if high)
    assert "p99 within 100 ms" in page.text("#workloads") and page.complaints() == []


def test_speed_alone_has_no_panel_of_other_workloads(page):
    assert page.value("document.querySelector('#quality, #workloads')") is None


def test_a_panel_that_fails_says_so_and_leaves_the_others_alone(chromium, made, tmp_path):
    text = made.read_text(encoding="utf-8")
    start = text.index('id="plotly">') + len('id="plotly">')
    (tmp_path / "page.html").write_text(text[:start] + "AAAA" + text[start + 4 :], encoding="utf-8")
    page = chromium.open(tmp_path / "page.html")
    assert page.text("#charts .notice").startswith("This panel cannot be shown: ")
    assert len(page.rows("table")) == 40 and len(page.rows("fingerprints")) > 5


def test_one_result_is_enough(page_of, golden):
    page = page_of(golden / "seed-example.log")
    assert page.text("#about").startswith("1 shape of 1 run")
    assert "There is one log only" in page.text("#compare")
    assert page.texts("#filters form") == [] and page.complaints() == []


# -- texts stay texts


def test_markup_in_a_name_stays_a_text(page):
    assert HOSTILE in page.column("table", "model")
    assert HOSTILE in "".join(page.texts("#filters label"))
    assert page.value("document.scripts.length") == 5  # data, plotly's text, our two scripts, plotly's script
    page.find("#filters fieldset", "Model").find_element("xpath", ".//label[contains(., 'alert')]").click()
    page.until("document.getElementById('chart-latency').data?.length === 1")
    page.run("Plotly.Fx.hover('chart-latency', [{curveNumber: 0, pointNumber: 0}])")
    page.until("document.querySelector('#chart-latency .hoverlayer text') !== null")
    assert HOSTILE in page.value("document.querySelector('#chart-latency .hoverlayer').textContent")
    assert (
        page.value("document.querySelectorAll('.hoverlayer a, .hoverlayer b, .hoverlayer [style*=bold]').length") == 0
    )
    assert page.complaints() == []
