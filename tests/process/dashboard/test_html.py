"""The dashboard as a file: what is in it, how large it is, what a log cannot do to it. No browser is needed here."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from fmbench.process.cli import main
from fmbench.process.dashboard import data, page
from fmbench.process.reading.results import read_results
from fmbench.process.reading.row import Result
from fmbench.process.reading.sources import find_sources
from fmbench.process.writing import columns

from ..log_lines import LOG, RES
from .page import unpacked

AGAIN = RES.replace(" 8 4 ", " 16 4 ")
HOSTILE = "</script><script>alert(1)</script>&\u2028"


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the texts of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.found, self.scripts, self.within = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.within = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within == "script":
            self.scripts[-1] += data


def table_of(text):
    """Return the columns that a page holds, with a value a row."""
    held = json.loads(unpacked(text, "data"))
    size = held["shapes"]["size"]
    found = {}
    for column in held["shapes"]["columns"]:
        at = column.get("at", [0] * size)
        found[column["name"]] = column.get("values") or [column["distinct"][place] for place in at]
    return held, found


@pytest.fixture
def written(tmp_path):
    """Write the page of some logs, and return its text."""

    def run(*paths):
        target = tmp_path / "page.html"
        words = [word for path in paths for word in ("--path", str(path))]
        assert main([*words, "--dashboard", str(target)]) == 0
        return target.read_text(encoding="utf-8")

    return run


@pytest.fixture
def log(tmp_path):
    def write(*lines, name="run.log"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


# -- what the page holds


def test_the_page_holds_the_columns_of_the_csv_format(golden, written, capsys):
    held, found = table_of(written(golden))
    main(["--path", str(golden)])
    rows = [columns.cells(row) for row in json.loads(capsys.readouterr().out.partition("\n")[2])]
    with columns.Table(rows) as table:
        assert [*found] == [*table.columns, "run", "trust"]
    assert held["shapes"]["size"] == len(rows) == 8
    for name, values in found.items():
        if name not in ("run", "trust"):
            assert [columns.text_of(value) for value in values] == [columns.text_of(row.get(name)) for row in rows]


def test_results_in_json_make_the_page_that_their_log_makes(golden, written, tmp_path):
    source = golden / "format-1.log"
    assert main(["--path", str(source), "--out", str(tmp_path / "format-1.json")]) == 0
    of_log, of_json = (json.loads(unpacked(written(path), "data")) for path in (source, tmp_path / "format-1.json"))
    assert of_log["shapes"] == of_json["shapes"]
    assert of_json["runs"][0] == {"name": "format-1.json", "log": "format-1.json"}


def test_a_run_is_a_log_a_variant_and_a_fingerprint(golden, written):
    held, found = table_of(written(golden / "format-1.log"))
    assert [run["name"] for run in held["runs"]] == [
        "format-1.log",
        "format-1.log, variant A",
        "format-1.log, variant bfloat16",
        "format-1.log, variant --model_name org/huge",
    ]
    assert found["run"] == [0, 0, 0, 0, 1, 2, 3]


def test_circumstances_do_not_split_a_run(log, written):
    facts = [f'FMWORK ENV {{"threads": 1, "load_average_start": {load}}}' for load in (1, 2)]
    held, _ = table_of(written(log(LOG, facts[0], RES, LOG, facts[1], AGAIN)))
    assert len(held["runs"]) == 1


@pytest.mark.parametrize(("more", "runs"), [("--resume run.log", 1), ("--max_seconds 9", 1), ("--seed 9", 2)])
def test_a_run_that_went_on_is_one_run(more, runs, log, written):
    parts = [f"{LOG}\nFMWORK ARG --seed 1\n{RES}", f"{LOG}\nFMWORK ARG --seed 1\nFMWORK ARG {more}\n{AGAIN}"]
    held, _ = table_of(written(log(*parts)))
    assert len(held["runs"]) == runs


def test_a_failure_is_left_out_where_a_newer_run_of_its_cell_is_good(log, written):
    def cell(start, code):
        said = {
            "sweep": "s",
            "id": "ab",
            "run": "driver",
            "exit_code": code,
            "seconds": 1.0,
            "start": f"{start}.000000000",
        }
        return f"FMWORK CELL {json.dumps(said)}"

    begun = f'{LOG}\nFMWORK ENV {{"platform": "cpu", "cpu": "X"}}\n'
    killed = f'{begun}FMWORK ERR {{"input_size": 8, "batch_size": 4, "type": "Killed", "message": "no"}}\n{cell(1, -9)}'
    _, found = table_of(written(log(killed)))
    assert found["status"] == ["ERR"]
    _, found = table_of(written(log(killed, f"{begun}{RES}\n{cell(5, 0)}")))
    assert found["status"] == ["OK"]


def test_runs_of_one_name_are_numbered(log, written):
    parts = [f'{LOG}\nFMWORK ENV {{"note": {number}}}\n{RES}' for number in (1, 2)]
    held, _ = table_of(written(log(*parts)))
    assert [run["name"] for run in held["runs"]] == ["run.log", "run.log (2)"]


def test_a_page_does_not_say_in_which_folder_the_logs_are(log, written, tmp_path):
    (tmp_path / "secret" / "a").mkdir(parents=True)
    paths = [log(LOG, RES.replace(" 1.0", f" 1.{len(name)}"), name=f"secret/{name}")
             for name in ("a/one.log", "two.log")]  # fmt: skip
    text = written(*paths)
    held, _ = table_of(text)
    assert [run["log"] for run in held["runs"]] == ["a/one.log", "two.log"]
    assert "secret" not in unpacked(text, "data")


def test_a_whole_number_that_javascript_cannot_hold_is_a_text(log, written):
    text = written(log(LOG, 'FMWORK ENV {"large": 9007199254740993, "exact": 9007199254740991}', RES))
    _, found = table_of(text)
    assert found["environment.large"] == ["9007199254740993"]
    assert found["environment.exact"] == [9007199254740991]


@pytest.mark.parametrize(
    "values", [[], [None], [1], [1, 1], [1, True, 1.0, 1, True], [1, 2, 3], ["a", None, "a", None]]
)
def test_a_packed_column_holds_its_values(values):
    column = data.packed(values)
    at = column.get("at", [0] * len(values))
    found = column["values"] if "values" in column else [column["distinct"][place] for place in at]
    assert found == values and [type(value) for value in found] == [type(value) for value in values]


def test_a_page_without_results_is_a_page(log, written, capsys):
    held, _ = table_of(written(log("nothing")))
    assert held["shapes"]["size"] == 0 and held["runs"] == []
    assert "no results" in capsys.readouterr().err


# -- one file, and only it


def test_the_page_refers_to_nothing_outside(golden, written):
    elements = Elements(written(golden))
    references = [
        attributes[name] for _, attributes in elements.found for name in ("src", "href") if name in attributes
    ]
    assert set(references) == {"#results", "data:,"}
    assert not {"iframe", "object", "embed", "form", "img", "base"} & {tag for tag, _ in elements.found}
    for name in (*page.FIRST, *page.LAST, "dashboard.css", "page.html"):
        assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", page.source(name)), name


def test_only_the_pages_own_scripts_may_run(golden, written):
    text = written(golden)
    elements = Elements(text)
    (policy,) = [
        attributes["content"]
        for tag, attributes in elements.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in policy
    allowed = re.search(r"script-src ([^;]*)", policy)[1].split()
    assert allowed == [*map(page.allowed, elements.scripts[2:]), page.allowed(unpacked(text, "plotly"))]


def test_no_script_of_ours_ends_early_or_makes_markup_of_a_text():
    for name in (*page.FIRST, *page.LAST):
        text = page.source(name)
        assert "</" not in text and "<!--" not in text
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), name


def test_no_text_of_a_log_is_markup(log, written):
    name = HOSTILE.replace("\u2028", "%E2%80%A8").replace(" ", "%20")
    fact = json.dumps({HOSTILE: HOSTILE, "device": HOSTILE})
    text = written(log(LOG, f"FMWORK ENV {fact}", RES.replace(" m ", f" {name} "), name="a<script>b.log"))
    _, found = table_of(text)
    assert found["model"] == [HOSTILE] and found["environment.device"] == [HOSTILE]
    assert "alert(1)" not in text and "a<script>b" not in text
    assert len(Elements(text).scripts) == text.count("<script") == 4


def test_without_javascript_the_page_says_so(golden, written):
    assert re.search(
        r"<noscript><p class=\"notice\">.*JavaScript.*fmbench show.*</noscript>", written(golden), re.DOTALL
    )


def test_the_same_results_make_the_same_bytes(golden, tmp_path):
    pages = []
    for number in (1, 2):  # in processes of their own, whose hashes differ
        target = tmp_path / f"{number}.html"
        code = "import sys; from fmbench.process.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "--path", str(golden), "--dashboard", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        pages.append(target.read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.slow
@pytest.mark.xdist_group("browser")  # the tests there share the page
def test_ten_thousand_shapes_are_less_than_six_megabytes(many_shapes):
    assert many_shapes.stat().st_size < 6e6
    held, _ = table_of(many_shapes.read_text())
    assert held["shapes"]["size"] == 10_000 and len(held["runs"]) == 40


def test_more_results_than_a_browser_likes_are_said(golden, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(page, "MANY", 7)
    assert main(["--path", str(golden), "--dashboard", str(tmp_path / "x.html")]) == 0
    assert "8 results are many for one page" in capsys.readouterr().err


# -- light and dark


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_can_be_told_from_what_is_behind_them(scheme):
    """WCAG 2.2, AA: 4.5 to 1 for texts, 3 to 1 for the frames of controls."""
    block = page.source("dashboard.css").split(":root {")[scheme + 1].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    pairs = [(text, behind, 4.5) for text in ("text", "muted", "accent", "strong") for behind in ("page", "card")]
    pairs += [
        ("bad", "bad-soft", 4.5),
        ("text", "bad-soft", 4.5),
        ("doubt", "doubt-soft", 4.5),
        ("text", "doubt-soft", 4.5),
    ]
    pairs += [
        ("bad", "card", 4.5),
        ("good", "card", 4.5),
        ("doubt", "card", 4.5),
        ("line", "card", 3),
        ("line", "page", 3),
    ]
    for front, behind, least in pairs:
        light, dark = sorted((luminance(colours[front]), luminance(colours[behind])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, f"{front} on {behind}"


# -- the command line


def test_the_path_is_printed_and_results_only_where_asked(golden, tmp_path, capsys):
    target, out = tmp_path / "x.html", tmp_path / "x.csv"
    assert main(["--path", str(golden), "--dashboard", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    words = ["--plots", str(tmp_path / "plots"), "--format", "csv", "--out", str(out)]
    assert main(["--path", str(golden / "seed-example.log"), "--dashboard", str(target), *words]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    assert len(out.read_text().splitlines()) == 2 and list((tmp_path / "plots").glob("*.png"))


def test_without_plotly_one_line_says_what_installs_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    # The log is not looked at: a long one would be read in vain.
    (tmp_path / "x.log").write_text('FMWORK LOG {"format": 99}\n')
    assert main(["--path", str(tmp_path / "x.log"), "--dashboard", str(tmp_path / "x.html")]) == 2
    expected = "process: error: --dashboard needs plotly: pip install 'fmbench[dashboard]'\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "x.html").exists()


def test_a_log_that_cannot_be_read_leaves_the_old_page(tmp_path, capsys):
    (tmp_path / "x.log").write_text('FMWORK LOG {"format": 99}\n')
    (tmp_path / "x.html").write_text("old")
    assert main(["--path", str(tmp_path / "x.log"), "--dashboard", str(tmp_path / "x.html")]) == 2
    assert (tmp_path / "x.html").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", "x.html"}


def test_of_several_logs_the_good_ones_are_shown(golden, tmp_path, capsys):
    (tmp_path / "x.log").write_text('FMWORK LOG {"format": 99}\n')
    target = tmp_path / "x.html"
    assert main(["--path", str(tmp_path / "x.log"), "--path", str(golden), "--dashboard", str(target)]) == 2
    assert "1 of the logs could not be read" in capsys.readouterr().err
    assert table_of(target.read_text())[0]["shapes"]["size"] == 8


def test_a_target_that_cannot_be_written(golden, tmp_path, capsys):
    assert main(["--path", str(golden), "--dashboard", str(tmp_path / "no" / "x.html")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"process: error: {tmp_path}/no/x.html: cannot be written")


def test_plotly_is_imported_for_the_dashboard_only(golden):
    code = (
        "import sys; from fmbench.process.cli import main; main(['--path', sys.argv[1]]);"
        "sys.exit(any(name in sys.modules for name in ('plotly', 'fmbench.process.dashboard.page')))"
    )
    subprocess.run([sys.executable, "-c", code, golden], capture_output=True, check=True)


def test_a_result_without_facts_is_a_run(golden):
    runs = data.Runs()
    rows = list(runs.watched(Result(row, "standard input") for row in plain_rows(golden)))
    assert len(rows) == 2 and runs.of_rows == [0, 0]
    assert runs.names() == [("standard input", "standard input")]


def plain_rows(golden):
    (result,) = read_results(find_sources([str(golden / "seed-example.log")]), print)
    return [result.row, {**result.row, "batch": 2}]
