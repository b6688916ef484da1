"""The dashboard in headless Chromium: records, charts, two logs side by side, fingerprints."""

import pytest

from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.process.record import records_of, table_of

from ..test_records import BF16, FACTS, retrieval

pytestmark = pytest.mark.xdist_group("browser")


# -- charts


def test_a_chart_starts_with_one_model_and_one_size_and_a_line_a_run_with_intervals(page):
    drawn = "document.getElementById('chart-latency').data.map((one) => ({x: one.x, y: one.y, bars: one.error_y}))"
    data = page.value(drawn)
    assert len(data) == 3  # of org/m at 64
    assert data[0]["x"] == [1, 2, 4, 8, 16] and data[0]["y"][0] == pytest.approx(3.2)
    assert data[0]["bars"]["visible"] and all(up >= 0 for up in data[0]["bars"]["array"])
    assert [text.split("\n")[-1] for text in page.texts("#charts .toggle")] == ["m, cpu, bfloat16", "m, cpu, float32"]
    assert "of other models and sizes: draw everything" in page.text("#charts .note")
    page.find("#charts button", "Draw everything").click()
    page.until("document.getElementById('chart-latency').data.length === 7")
    data = page.value(drawn)
    assert data[0]["x"] == [1, 2, 4, 8, 16, 32] and data[0]["y"][0] == pytest.approx(0.8)
    page.choose("charts", "Across", "input size")
    page.until("document.getElementById('chart-latency').data[0].x.join() === '16,64'")


def test_the_legend_hides_and_the_zoom_zooms_without_a_mouse(page):
    page.run("document.querySelector('#charts .toggle').focus()")
    page.press(" ")
    page.until("document.getElementById('chart-latency').data.length === 2")
    assert page.value("document.activeElement.getAttribute('aria-pressed')") == "false"
    span = "document.getElementById('chart-latency').layout.yaxis.range.reduce((low, high) => high - low)"
    before = page.value(span)
    page.run("[...document.querySelectorAll('#charts button')].find((one) => one.textContent === 'Zoom in').focus()")
    page.press("\ue007")  # Enter
    page.until(f"Math.abs({span} - {0.6 * before}) < 1e-6")


@pytest.mark.slow
def test_ten_thousand_shapes_stay_answerable(chromium, many_shapes):
    page = chromium.open(many_shapes)
    assert len(page.rows("table")) == 50
    assert page.value("document.getElementById('chart-latency').data.length") == 8  # of one model
    page.find("#charts button", "Draw everything").click()
    page.until("document.querySelector('#charts .note').textContent.includes('picked by lot')")
    drawn = page.value("document.getElementById('chart-latency').data.map((one) => one.x.length)")
    assert len(drawn) <= 8 and sum(drawn) == 1000
    assert "1,000 shapes of 9,960, picked by lot, as points" in page.text("#charts .note")
    for label in ("all-MiniLM-L6-v2", "cuda", "float32"):
        page.find("#filters label", label).click()
    assert page.text("#shown").startswith("250 of 10,000 shapes shown")
    page.until("document.getElementById('chart-latency').data.length === 10")
    assert page.complaints() == []


# -- records


def test_the_page_opens_with_what_show_says_of_each_configuration(page, made):
    results = list(read_results(find_sources([str(made.parent)]), print))
    records = [record for record in records_of(results) if record.configuration.model == "org/m"]
    table = table_of(records)
    assert page.texts("#records thead th") == [*table.header[1:], "id"]
    found = [[cell.removeprefix("\N{BLACK CIRCLE} ") for cell in row] for row in page.rows("records")]
    assert found == [[*line[1:], line[0]] for line in table.lines]


def test_without_quality_the_picture_is_latency_over_throughput(page):
    assert page.text("#records figcaption") == "latency ms 64 / 1 over sequences/s 64 tokens, a point a configuration"
    points = page.value("document.getElementById('chart-records').data.slice(1).map((one) => [one.x[0], one.y[0]])")
    assert sorted(points) == [[pytest.approx(156.25), pytest.approx(6.4)], [pytest.approx(312.5), pytest.approx(3.2)]]


def test_quality_is_drawn_over_speed_with_intervals_and_the_front(page_of, tmp_path):
    slow, worse = {**FACTS, "dtype": "float64"}, {**FACTS, "dtype": "float16"}
    logs = [(FACTS, 0.64, 45.0), (BF16, 0.63, 90.0), (slow, 0.6, 20.0), (worse, 0.5, 200.0)]
    for number, (facts, ndcg, rate) in enumerate(logs):
        (tmp_path / f"{number}.log").write_text("\n".join([*retrieval(facts, ndcg, rate=rate), ""]))
    page = page_of(tmp_path)
    assert page.text("#records figcaption") == "nDCG@10 scifact over texts/s scifact, a point a configuration"
    drawn = page.value("document.getElementById('chart-records').data.map(({x, y, error_y}) => [x, y, error_y])")
    (x, y, _), *points = drawn
    assert (x, y) == ([45, 90, 200], [0.64, 0.63, 0.5])
    assert len(points) == 4 and all(bars["array"] == [pytest.approx(0.02)] for *_, bars in points)


def test_filters_hide_a_configuration_of_which_nothing_is_left(page):
    page.find("#filters label", "bfloat16").click()
    page.until("document.querySelectorAll('#records tbody tr').length === 1")
    assert page.rows("records")[0][0].startswith("\N{BLACK CIRCLE} cpu, bfloat16")


# -- comparing


def test_two_logs_side_by_side(page):
    chosen = "document.querySelector('#compare .controls select').selectedOptions[0].text"
    assert page.value(chosen) == "tuesday.log against monday.log"
    assert page.find("#compare .notice").is_displayed() is False
    assert page.text("#overall").startswith("11 regressions, 0 improvements, 0 without significant difference, ")
    assert page.column("compare", "ratio") == ["1.100"] * 11 + [""]
    assert page.column("compare", "verdict") == ["regression"] * 11 + ["not compared"]
    assert page.rows("compare")[-1][-2:] == ["not compared", "failed in base: OutOfMemoryError"]
    looks = page.value("[...document.querySelectorAll('#compare tbody tr')].map((one) => one.className)")
    assert looks == ["slower"] * 11 + [""]
    assert page.texts("#missing li") == [
        "Only in tuesday.log: 16 \N{MULTIPLICATION SIGN} 64, 64 \N{MULTIPLICATION SIGN} 64"
    ]
    assert "fmbench compare monday.log tuesday.log" in page.text("#compare")
    assert "fmbench compare BASE NEW" in page.text("#others")


def test_the_incomparable_is_compared_only_when_told(page):
    page.choose("compare", "Compare", "monday.log against half.log")
    assert "differ in dtype (float32 / bfloat16), threads (1 / 2)." in page.text("#differing").replace(
        "bfloat16 / float32", "float32 / bfloat16"
    ).replace("2 / 1", "1 / 2")
    assert page.text("#overall") == "12 shapes in both logs, not compared."
    assert page.value("document.querySelector('#compare table')?.checkVisibility() ?? false") is False
    page.find("#compare .notice label").click()
    assert "overall ratio 2.000 (" in page.text("#overall")
    assert "--across dtype,threads" in page.text("#compare")


def test_fingerprints_mark_what_differs(page):
    differing = page.texts("#fingerprints tr.differs th")
    assert [text.split(" ")[0] for text in differing] == ["device", "dtype", "model", "threads"]
    assert all("≠ differs" in text for text in differing)
    assert "These runs differ in 4 facts" in page.text("#fingerprints .note")
    page.find("#fingerprints label").click()
    assert len(page.rows("fingerprints")) == 6  # and the log, and the arguments
    for label in ("monday.log", "tuesday.log"):
        page.find("#filters label", label).click()
    assert "differ in no fact that decides a figure" in page.text("#fingerprints .note")
