"""`fmbench fidelity compare` as its user sees it."""

import json
import math
import re
from html.parser import HTMLParser

import pytest
import torch

from fmbench import cli, lines
from fmbench.drivers.fidelity.manifest import FILE
from fmbench.process import cli as process

from .conftest import TEN, artifacts, ranked


@pytest.fixture
def compare(capsys):
    """compare(a, b, ...) -> (exit code, stdout, stderr)."""

    def run(*arguments):
        code = cli.main(["fidelity", "compare", *map(str, arguments)])
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


def rows_of(text, title):
    """The cells of the table below a title, header first."""
    table = text.partition(f"#### {title}\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_the_same_capture_twice_is_equal_from_tokens_to_rankings(sides, compare):
    a, b = sides(artifacts(), artifacts())
    code, out, err = compare(a, b, "--fail-on", "close")
    assert (code, err) == (0, "")
    assert "**All 6 artifacts are equal, bit for bit.**" in out
    assert [row["verdict"] for row in rows_of(out, "Tensors, in execution order")] == ["equal"] * 5
    (ranking,) = rows_of(out, "Rankings")
    assert list(ranking.values())[3:] == [
        "equal", "equal", "equal", "equal", "Equal: 3", "Equal: 3", "equal", "equal", "equal",
    ]  # fmt: skip
    assert compare(a, b, "--fail-on", "ranking")[0] == 0
    (agreement,) = rows_of(out, "Tensors, by probe")
    assert list(agreement.values())[2:] == ["bert", "yes (5/5)", "yes (5/5)", "yes (5/5)"]


def test_the_first_artifact_that_differs_is_on_top(sides, compare):
    code, out, _ = compare(*sides(artifacts(), artifacts(drift=1e-3)))
    assert code == 0
    assert out.splitlines()[2].startswith(r"**First artifact that differs: bert/layer.2 (different).")
    tensors = rows_of(out, "Tensors, in execution order")
    assert [row["verdict"] for row in tensors] == ["equal"] * 3 + ["different"] * 2
    assert tensors[2]["max ULP"] == tensors[2]["equal share"] == "equal"
    assert tensors[0]["max ULP"] == ""  # tokens have none
    (agreement,) = rows_of(out, "Tensors, by probe")
    assert (agreement["shapes match?"], agreement["close?"]) == ("yes (5/5)", "no (3/5)")


def test_a_looser_tolerance_makes_it_close(sides, compare):
    folders = sides(artifacts(), artifacts(drift=1e-3))
    assert compare(*folders, "--fail-on", "different")[0] == 1
    code, out, _ = compare(*folders, "--fail-on", "different", "--atol", "0.01", "--rtol", "0")
    assert code == 0
    assert "All that differ are close: 2 of 6." in out


def test_probes_restrict_what_is_compared(sides, compare):
    a, b = sides(artifacts(), artifacts(drift=1e-3))
    code, out, _ = compare(a, b, "--probes", "search", "--fail-on", "close", "--format", "json")
    assert code == 0 and {row["probe"] for row in json.loads(out)["artifacts"]} == {"search"}
    code, _, err = compare(a, b, "--probes", "serch")
    assert code == 2 and "was captured without the probe serch; did you mean search?" in err


def test_a_ranking_that_changed(sides, compare):
    """q2's only relevant document moves from rank 9 to 10; q1 has one document replaced."""
    changed = ranked({"q1": [*TEN[:9], "new"], "q2": [*TEN[:8], "d9", "d8"], "q3": TEN})
    a, b = sides(artifacts(), artifacts(**{"search/exact": changed}))
    code, out, err = compare(a, b, "--fail-on", "ranking")
    assert code == 1
    assert "--fail-on ranking: search/exact is different" in err
    (row,) = rows_of(out, "Rankings")
    assert (row["Recall@10 change"], row["MRR@10 change"]) == ("equal", "-0.0037")
    assert (row["avg # of different ids"], row["replaced"]) == ("0.667", "0.333")
    assert (row["queries, Recall@10"], row["queries, MRR@10"]) == ("Equal: 3", "Equal: 2, Decrease: 1")
    assert row["significant?"] == "MRR@10: no (p 1.000)"
    assert 0.9 < float(row["Kendall tau"]) < 1 and 0.9 < float(row["RBO"]) < 1


def test_other_dtypes_are_compared_in_the_wider_one_and_said(sides, compare):
    half = {name: item.bfloat16() if "layer" in name else item for name, item in artifacts().items()}
    code, out, _ = compare(*sides(artifacts(), half), "--fail-on", "close")
    assert code == 1
    assert "First artifact that differs: bert/layer.0 (close)" in out
    row = rows_of(out, "Tensors, in execution order")[1]
    assert (row["dtype"], row["note"]) == ("float32 / bfloat16", "compared as float64")


def test_shapes_nan_and_what_is_missing_are_rows(sides, compare):
    broken = artifacts()["bert/layer.1"].clone()
    broken[2, 3] = math.nan
    other = artifacts(**{"bert/layer.1": broken, "bert/layer.2": torch.zeros(6, 9)})
    del other["bert/layer.3"]
    code, out, _ = compare(*sides(artifacts(), other))
    tensors = {row["artifact"]: row for row in rows_of(out, "Tensors, in execution order")}
    assert code == 0
    assert tensors["bert/layer.1"]["note"] == "0 and 1 NaN; 1 of them not in the same places; from row 2 on"
    assert (tensors["bert/layer.2"]["verdict"], tensors["bert/layer.2"]["shape"]) == ("shape", "6 x 8 / 6 x 9")
    assert (tensors["bert/layer.3"]["verdict"], tensors["bert/layer.3"]["note"]) == ("missing", "only in A")


def test_json_says_everything_and_each_query(sides, compare):
    changed = ranked({"q1": TEN, "q2": [*TEN[:8], "d9", "d8"], "q3": TEN})
    broken = torch.full((6, 8), math.inf)
    other = artifacts(drift=1e-7, **{"search/exact": changed, "bert/layer.3": broken})
    _, out, _ = compare(*sides(artifacts(), other, model="n" * 64), "--format", "json")
    found = json.loads(out)
    assert found["first_not_equal"] == "bert/layer.2"
    assert found["first_not_close"] == "bert/layer.3"
    assert found["facts"] == {"model_digest": ["m" * 12, "n" * 12]}
    by_name = {row["artifact"]: row for row in found["artifacts"]}
    assert by_name["bert/layer.3"]["inf"] == [0, 48] and by_name["bert/layer.3"]["max_abs"] == 0.0
    ranking = by_name["search/exact"]
    assert (ranking["verdict"], ranking["changed"], ranking["queries"]) == ("different", 1, 3)
    (query,) = ranking["changed_queries"]
    assert query["query"] == "q2"
    assert query["metrics"]["MRR@10"] == [pytest.approx(1 / 9), pytest.approx(0.1)]


def test_the_log_holds_a_line_an_artifact_and_process_a_row(sides, compare, tmp_path, capsys):
    log, text = tmp_path / "fidelity.log", tmp_path / "drift.md"
    code, out, _ = compare(*sides(artifacts(), artifacts(drift=1e-3)), "--log", log, "--out", text)
    assert (code, out) == (0, "")
    assert text.read_text().startswith("### Fidelity: ")
    parsed = [lines.parse_line(line) for line in log.read_text().splitlines()]
    assert isinstance(parsed[0], lines.Log) and parsed[0].data["driver"] == "fidelity"
    assert parsed[1].data == {"captures": {"a": "A", "b": "B"}}
    found = [line.data for line in parsed if isinstance(line, lines.Fid)]
    assert [(row["artifact"], row["verdict"]) for row in found][2:5] == [
        ("bert/layer.1", "equal"), ("bert/layer.2", "different"), ("bert/layer.3", "different"),
    ]  # fmt: skip
    assert found[3]["max_abs"] == pytest.approx(1e-3, rel=1e-3)
    assert found[-1]["metrics"]["MRR@10"]["equal"] == 3
    assert process.main(["--path", str(log)]) == 0
    done = capsys.readouterr()
    assert [row["fidelity"]["artifact"] for row in json.loads(done.out)] == [row["artifact"] for row in found]
    assert done.err == ""  # no complaint about a line


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text, self.attributes = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_shows_drift_by_layer_and_needs_nothing_else(sides, compare, tmp_path):
    page = tmp_path / "drift.html"
    other = artifacts(drift=1e-3, **{"search/exact": ranked({"q1": TEN[::-1], "q2": TEN, "q3": TEN})})
    assert compare(*sides(artifacts(), other), "--html", page)[0] == 0
    seen = Page()
    seen.feed(page.read_text())
    assert seen.tags.count("svg") == 1 and "script" not in seen.tags
    outside = [
        value for tag, name, value in seen.attributes if name in ("src", "href", "xlink:href") and value[0] != "#"
    ]
    assert outside == []
    text = " ".join(seen.text)
    assert "First artifact that differs: bert/layer.2" in text and "Drift by layer" in text
    assert text.count("different") >= 3 and "Queries whose ranking changed" in text


def test_nothing_that_a_capture_says_is_markup(sides, compare, tmp_path):
    hostile = "<script>alert(1)</script> | **x** <b>"
    page = tmp_path / "drift.html"
    one = {f"bert/{hostile}": torch.zeros(2, 2), "search/<i>": ranked({"<q>": ["<d>"]})}
    other = {f"bert/{hostile}": torch.ones(2, 2), "search/<i>": ranked({"<q>": ["<e>"]})}
    fingerprint = {"packages": {"torch": "<u>1</u>"}}
    _, out, _ = compare(*sides(one, other, fingerprint=fingerprint), "--html", page)
    seen = Page()
    seen.feed(page.read_text())
    assert not {"script", "b", "i", "u", "q", "d"} & set(seen.tags)
    assert hostile in " ".join(seen.text)
    assert "<script" not in re.sub(r"\\<", "", out) and "**x**" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: A, B"),
        (("--atol", "-1"), "'-1' is not zero or more"),
        (("--rtol", "x"), "'x' is no number"),
        (("--fail-on", "nothing"), "invalid choice"),
        (("--fail_on", "close"), "unknown argument '--fail_on'; did you mean --fail-on"),
        (("--out", "/no/such/folder/x"), "cannot be written"),
    ],
)
def test_a_wrong_command_line(arguments, said, sides, compare):
    folders = sides(artifacts(), artifacts()) if arguments else ()
    code, out, err = compare(*folders, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_wrong_folders(sides, compare, tmp_path):
    a, b = sides(artifacts(), artifacts(), seed=1)
    code, _, err = compare(a, b)
    assert (code, "cannot be compared: seed 0 and 1" in err) == (2, True)
    code, _, err = compare(a, tmp_path)
    assert (code, "no manifest.json in it: name a folder that" in err) == (2, True)
    path = tmp_path / "A" / FILE
    path.write_text(path.read_text().replace('"complete": true', '"complete": false'))
    code, _, err = compare(a, b)
    assert (code, "the capture is incomplete" in err) == (2, True)


def test_a_guard_of_rankings_needs_rankings(capture, compare):
    a, b = (capture(name, {"bert/x": torch.zeros(2)}).folder for name in "AB")
    code, _, err = compare(a, b, "--fail-on", "ranking")
    assert (code, "the captures hold no ranking" in err) == (2, True)


def test_a_capture_with_nothing_in_it(capture, compare, tmp_path):
    a, b = (capture(name, {}).folder for name in "AB")
    code, out, _ = compare(a, b, "--html", tmp_path / "x.html")
    assert code == 0 and "All 0 artifacts are equal" in out


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--help"], 0, "usage: fmbench fidelity COMMAND"),
        ([], 2, "name a command: bisect, capture, compare"),
        (["comprae"], 2, "unknown command 'comprae'; did you mean compare?"),
    ],
)
def test_the_command_of_commands(argv, code, said, capsys):
    try:
        found = cli.main(["fidelity", *argv])
    except SystemExit as stopped:
        found = stopped.code
    done = capsys.readouterr()
    assert found == code and said in done.out + done.err
