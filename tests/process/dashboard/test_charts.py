"""The dashboard in headless Chromium: charts, two runs side by side, fingerprints."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")


# -- charts


def test_a_chart_has_a_line_a_run_and_size_with_intervals(page):
    data = page.value(
        "document.getElementById('chart-latency').data.map((one) => ({x: one.x, y: one.y, bars: one.error_y}))"
    )
    assert len(data) == 7
    assert data[0]["x"] == [1, 2, 4, 8, 16, 32] and data[0]["y"][0] == pytest.approx(0.8)
    assert data[0]["bars"]["visible"] and all(up >= 0 for up in data[0]["bars"]["array"])
    page.choose("charts", "Across", "input size")
    page.until("document.getElementById('chart-latency').data[0].x.join() === '16,64'")


def test_the_legend_hides_and_the_zoom_zooms_without_a_mouse(page):
    page.run("document.querySelector('#charts .toggle').focus()")
    page.press(" ")
    page.until("document.getElementById('chart-latency').data.length === 5")
    assert page.value("document.activeElement.getAttribute('aria-pressed')") == "false"
    span = "document.getElementById('chart-latency').layout.yaxis.range.reduce((low, high) => high - low)"
    before = page.value(span)
    page.run("[...document.querySelectorAll('#charts button')].find((one) => one.textContent === 'Zoom in').focus()")
    page.press("\ue007")  # Enter
    page.until(f"Math.abs({span} - {0.6 * before}) < 1e-6")


def test_ten_thousand_shapes_stay_answerable(chromium, many_shapes):
    page = chromium.open(many_shapes)
    assert len(page.rows("table")) == 50
    drawn = page.value("document.getElementById('chart-latency').data.map((one) => one.x.length)")
    assert len(drawn) <= 8 and sum(drawn) == 1000
    assert "1,000 shapes of 9,960, picked by lot, as points" in page.text("#charts .note")
    for label in ("all-MiniLM-L6-v2", "cuda", "float32"):
        page.find("#filters label", label).click()
    assert page.text("#shown").startswith("250 of 10,000 shapes shown")
    page.until("document.getElementById('chart-latency').data.length === 10")
    assert page.complaints() == []


# -- comparing


def test_two_runs_side_by_side(page):
    chosen = "[...document.querySelectorAll('#compare .controls select')].map((one) => one.selectedOptions[0].text)"
    assert page.value(chosen) == ["monday.log", "tuesday.log"]
    assert page.find("#compare .notice").is_displayed() is False
    overall = page.text("#overall")
    assert overall.startswith("New over base, geometric mean over 11 shapes: 1.100 (1.09")
    assert overall.endswith("11 slower, 0 faster, 0 without a clear difference, 1 not comparable.")
    first, *_, last = page.rows("compare")
    assert first[:2] == ["16", "1"] and first[2].startswith("1.6") and first[3].startswith("1.76")
    assert first[4].startswith("1.100 (1.09") and first[5] == "slower"
    assert last[4:] == ["", "not comparable: base failed: OutOfMemoryError: too large"]
    assert page.texts("#missing li") == [
        "Not comparable, only in tuesday.log: 16 \N{MULTIPLICATION SIGN} 64, 64 \N{MULTIPLICATION SIGN} 64"
    ]
    page.find("#compare button", "Swap").click()
    assert "0 slower, 11 faster" in page.text("#overall")


def test_the_incomparable_is_compared_only_when_told(page):
    page.choose("compare", "New", "half.log")
    assert "differ in dtype (float32 / bfloat16), threads (1 / 2)." in page.text("#differing")
    assert page.text("#overall") == "12 shapes in both runs, none of them comparable."
    assert set(page.column("compare", "verdict")) == {"not comparable: the fingerprints differ"}
    page.find("#compare .notice label").click()
    assert "0.500 (" in page.text("#overall") and "11 faster" in page.text("#overall")
    page.choose("compare", "New", "hostile.log")  # other facts differ: asked again
    assert page.find("#across").is_selected() is False
    assert "No shape is in both runs" in page.text("#overall")
    page.find("#compare .notice label").click()  # of two models, the sizes match
    assert "over 2 shapes" in page.text("#overall")


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
