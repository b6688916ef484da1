"""The dashboard in headless Chromium: it loads, filters, sorts, compares, downloads, and keeps every text a text."""

import csv
import io
import json
import time

import pytest

from fmbench import lines
from fmbench.process import columns, view
from fmbench.process.cli import main
from fmbench.process.reader import find_sources
from fmbench.process.records import read_records
from tests.browser import browser, why_not

if (reason := why_not()) is not None:
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.xdist_group("browser")

HOSTILE = "<script>alert(1)</script><b>&amp;%{x}"
WAVE = (0, 3, -3, 2, -2, 1, -1, 3, -3, 2, -2, 1, -1, 0, 2, -2, 1, -1, 0, 1)  # in thousandths: no drift, little spread
# What can be worked with, what can be seen (plotly's own parts apart), what it leads to, and what juts out.
CONTROLS = "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex='0']"
VISIBLE = "[...document.body.querySelectorAll('*')].filter((one) => !one.closest('.plot') && one.checkVisibility())"
REFERENCES = "[...document.querySelectorAll('[src], [href]')].map((one) => one.getAttribute(one.src ? 'src' : 'href'))"
TOO_WIDE = "(one) => !one.closest('.frame table, .skip') && one.getBoundingClientRect().right > innerWidth + 1"


def log_text(model="org/m", dtype="float32", slower=1.0, inputs=(16, 64), batches=(1, 2, 4, 8, 16, 32), **facts):
    """A log in which a shape takes input x batch / 10 milliseconds, `slower` times; of 64 x 32 there was no memory."""
    out = [lines.Log({"format": 1}), lines.Arg("model_name", model)]
    out.append(lines.Env({"platform": "cpu", "dtype": dtype, "model": model, "threads": 1, **facts}))
    for size in inputs:
        for batch in batches:
            place = {"input_size": size, "batch_size": batch}
            out.append(lines.Case({**place, "reps": len(WAVE)}))
            if (size, batch) == (64, 32):
                out.append(lines.Err({**place, "type": "OutOfMemoryError", "message": "too large"}))
                continue
            base = size * batch * slower * 1e5
            durations = [int(base * (1 + wave / 1000)) for wave in WAVE]
            out += [lines.Rep(k + 1, len(WAVE), 10**18 + k, 10**18 + k + d, d) for k, d in enumerate(durations)]
            out.append(lines.Res(10**18, 10**18, model, "C", size, batch, base / 1e6, 1e9 * batch / base))
    return "\n".join(line.format() for line in out) + "\n"


class Page:
    """A page in the browser, as its reader meets it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280):
        self.resize(width)
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # what there was before is read, and so forgotten
        self.driver.get(path.as_uri())
        self.until("document.documentElement.dataset.ready === 'true'")
        return self

    def resize(self, width):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def value(self, expression):
        return self.run(f"return {expression}")

    def until(self, expression, seconds=60):
        deadline = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never so: {expression}"
            time.sleep(0.02)

    def find(self, selector, text=None):
        found = self.driver.find_elements("css selector", selector)
        return next(element for element in found if text is None or text in element.text)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector)

    def text(self, selector):
        return self.texts(selector)[0]

    def rows(self, section):
        rows = "[...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        return self.run(f"return {rows}.map((row) => [...row.cells].map((cell) => cell.textContent))", section)

    def column(self, section, head):
        return [row[self.place(section, head)] for row in self.rows(section)]

    def place(self, section, head):
        return [text.rstrip(" ▲▼") for text in self.texts(f"#{section} thead th")].index(head)

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def choose(self, section, label, text):
        from selenium.webdriver.support.select import Select

        Select(self.find(f"#{section} label", label).find_element("tag name", "select")).select_by_visible_text(text)

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chromium(downloads):
    with browser(downloads) as driver:
        yield Page(driver)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four runs: two of one fingerprint, one of another, and one of a model with a name that is markup."""
    folder = tmp_path_factory.mktemp("logs")
    texts = {
        "monday.log": log_text(),
        "tuesday.log": log_text(slower=1.1, batches=(1, 2, 4, 8, 16, 32, 64)),
        "half.log": log_text(dtype="bfloat16", slower=0.5, threads=2),
        "hostile.log": log_text(model=HOSTILE, inputs=(16,), batches=(1, 2), device=HOSTILE),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    assert main(["--path", str(folder), "--metadata_id", "=1+1", "--dashboard", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.fixture
def page(chromium, made):
    return chromium.open(made)


@pytest.fixture
def page_of(chromium, tmp_path):
    def open_page(*paths):
        words = [word for path in paths for word in ("--path", str(path))]
        assert main([*words, "--dashboard", str(tmp_path / "page.html")]) == 0
        return chromium.open(tmp_path / "page.html")

    return open_page


# -- it loads


def test_it_loads_without_a_complaint_and_asks_for_nothing(page, made):
    assert page.complaints() == []
    assert [url for url in page.requests() if not url.startswith("data:")] == [made.as_uri()]
    assert page.text("#about").startswith("40 shapes of 4 runs: 37 stable, 3 failed.")
    assert page.texts("main h2") == [
        "Latency and throughput",
        "Every shape",
        "Quality of retrieval against speed",
        "Two runs side by side",
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
    records = list(read_records(find_sources([str(golden)]), print))
    header, expected, _ = view.cells(record.row for record in records)
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


def test_quality_against_speed_has_a_panel(page_of, golden_retrieval):
    page = page_of(golden_retrieval)
    assert page.text("#quality .note").startswith("Bars are 95% intervals")
    assert page.complaints() == []


def test_speed_alone_has_nothing_to_say_of_quality(page):
    assert page.text("#quality .empty").startswith("No result here says how good a ranking is")


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
    assert "There is one run only" in page.text("#compare")
    assert page.texts("#filters form") == [] and page.complaints() == []


# -- filters


def test_filters_leave_what_was_chosen(page):
    page.find("#filters label", "bfloat16").click()
    page.find("#filters fieldset", "Batch size").find_element("xpath", ".//label[contains(., '8')]").click()
    assert page.text("#shown") == "2 of 40 shapes shown; 38 shapes hidden by: dtype, batch size."
    assert set(page.column("table", "dtype")) == {"bfloat16"} and page.column("table", "batch") == ["8", "8"]
    page.until("document.getElementById('chart-latency').data.length === 2")
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
    assert "No shape is in both runs" in page.text("#overall")
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
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
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


# -- texts stay texts


def test_markup_in_a_name_stays_a_text(page):
    assert HOSTILE in page.column("table", "model")
    assert HOSTILE in "".join(page.texts("#filters label"))
    assert page.value("document.scripts.length") == 4  # data, plotly's text, our script, plotly's script
    page.find("#filters fieldset", "Model").find_element("xpath", ".//label[contains(., 'alert')]").click()
    page.until("document.getElementById('chart-latency').data.length === 1")
    page.run("Plotly.Fx.hover('chart-latency', [{curveNumber: 0, pointNumber: 0}])")
    page.until("document.querySelector('#chart-latency .hoverlayer text') !== null")
    assert HOSTILE in page.value("document.querySelector('#chart-latency .hoverlayer').textContent")
    assert (
        page.value("document.querySelectorAll('.hoverlayer a, .hoverlayer b, .hoverlayer [style*=bold]').length") == 0
    )
    assert page.complaints() == []


# -- small screens, no mouse, print


@pytest.mark.parametrize("width", [1280, 400])
def test_no_width_scrolls_the_page_sideways(chromium, made, width):
    page = chromium.open(made, width)
    assert page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.value(f"{VISIBLE}.filter({TOO_WIDE}).map((one) => one.outerHTML)") == []
    assert page.value("document.querySelector('#filters details').open") is (width == 1280)
    if width == 400:
        frame = "document.querySelector('#table .frame')"
        assert page.value(f"{frame}.scrollWidth > {frame}.clientWidth")  # it scrolls by itself


def test_everything_can_be_reached_and_used_without_a_mouse(page):
    tab, enter = "\ue004", "\ue007"
    page.press(tab)
    assert page.value("document.activeElement.className") == "skip"
    page.run("window.seen = new Set()")
    while page.run("seen.add(document.activeElement); return document.activeElement !== document.body"):
        page.press(tab)
    assert page.value(f"{VISIBLE}.filter((one) => one.matches({CONTROLS!r}) && !seen.has(one))") == []
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.run("document.querySelector('#filters input[type=checkbox]').focus()")
    page.press(" ")
    assert page.value(outline) == "solid"
    assert "hidden by: model" in page.text("#shown")
    page.run("document.querySelector('#table thead button').focus()")
    page.press(enter)
    assert page.value("document.activeElement.closest('th').ariaSort") == "ascending"
    page.press(enter)
    assert page.value("document.activeElement.closest('th').ariaSort") == "descending"


def test_every_control_has_a_name(page):
    named = "(one) => one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim()"
    controls = "[...document.querySelectorAll('input, select, button')]"
    assert page.value(f"{controls}.filter((one) => !({named})(one)).map((one) => one.outerHTML)") == []


def test_on_paper_there_are_results_and_no_controls(page):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "(selector) => [...document.querySelectorAll(selector)].some((one) => one.checkVisibility())"
        assert page.run(f"return ({shown})('aside, nav, .controls, .buttons')") is False
        assert page.run(f"return ({shown})('#table tbody td')") and page.text("#shown") == "40 of 40 shapes shown."
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_dark_follows_the_reader(page):
    feature = [{"name": "prefers-color-scheme", "value": "dark"}]
    light = page.value("getComputedStyle(document.body).backgroundColor")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    try:
        assert page.value("getComputedStyle(document.body).backgroundColor") != light
        page.until("document.getElementById('chart-latency').layout.font.color === '#e4e9f0'")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
