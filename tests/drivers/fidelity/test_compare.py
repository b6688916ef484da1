"""`fmbench fidelity compare` as its user sees it."""

import json
import math
import re
from html.parser import HTMLParser

import pytest
import torch

from fmbench import cli
from fmbench.capture.manifest import FILE
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


@pytest.fixture
def results(tmp_path, capsys):
    """results(log, kind) -> what `process` has below `fidelity` of the things of a kind, by artifact."""

    def read(log, kind):
        path = tmp_path / "run.log"
        path.write_text(log)
        assert process.main(["--path", str(path)]) == 0
        done = capsys.readouterr()
        assert done.err == ""  # no complaint about a line
        rows = [row["fidelity"] for row in json.loads(done.out)]
        return {row["artifact"]: row for row in rows if row["kind"] == kind}

    return read


def test_the_same_capture_twice_is_equal_from_tokens_to_rankings(sides, compare, results):
    a, b = sides(artifacts(), artifacts())
    code, out, err = compare(a, b, "--fail-on", "close")
    assert code == 0 and "All 6 artifacts are equal, bit for bit." in err and "Tensors that differ" not in err
    (whole,) = results(out, "comparison").values()
    assert (whole["verdict"], whole["reference"], whole["tensors"], whole["equal"]) == ("equal", "A", 5, 5)
    assert {row["verdict"] for row in results(out, "tensor").values()} == {"equal"}
    assert compare(a, b, "--fail-on", "ranking")[0] == 0


def test_the_first_artifact_that_differs_is_said_and_counted(sides, compare, results):
    code, out, err = compare(*sides(artifacts(), artifacts(drift=1e-3)))
    assert code == 0
    assert (
        "First artifact that differs: bert/layer.2 (different). 2 of 6 are not equal. Probes that differ: bert." in err
    )
    assert "yes (5/5)" in err and "no (3/5)" in err
    (whole,) = results(out, "comparison").values()
    assert (whole["first"], whole["same_shape"], whole["close"], whole["unequal"]) == ("bert/layer.2", 5, 3, 2)
    assert [row["verdict"] for row in results(out, "tensor").values()] == ["equal"] * 3 + ["different"] * 2


def test_a_looser_tolerance_makes_it_close(sides, compare):
    folders = sides(artifacts(), artifacts(drift=1e-3))
    assert compare(*folders, "--fail-on", "different")[0] == 1
    code, _, err = compare(*folders, "--fail-on", "different", "--atol", "0.01", "--rtol", "0")
    assert code == 0 and "All that differ are close: 2 of 6." in err


def test_probes_restrict_what_is_compared(sides, compare, results):
    a, b = sides(artifacts(), artifacts(drift=1e-3))
    code, out, _ = compare(a, b, "--probes", "search", "--fail-on", "close")
    assert code == 0 and not results(out, "tensor") and list(results(out, "ranking")) == ["search/exact"]
    code, _, err = compare(a, b, "--probes", "serch")
    assert code == 2 and "was captured without the probe serch; did you mean search?" in err


def test_a_ranking_that_changed(sides, compare, results):
    """q2's only relevant document moves from rank 9 to 10; q1 has one document replaced."""
    changed = ranked({"q1": [*TEN[:9], "new"], "q2": [*TEN[:8], "d9", "d8"], "q3": TEN})
    a, b = sides(artifacts(), artifacts(**{"search/exact": changed}))
    code, out, err = compare(a, b, "--fail-on", "ranking")
    assert code == 1
    assert "--fail-on ranking: search/exact is different" in err and "1 of 1 changed" in err
    (row,) = results(out, "ranking").values()
    assert row["metrics"]["MRR@10"]["change"] == pytest.approx((0.1 - 1 / 9) / 3)
    assert (row["replaced"], row["changed"]) == (pytest.approx(1 / 3), 2)
    second = next(query for query in row["changed_queries"] if query["query"] == "q2")
    assert second["metrics"]["MRR@10"] == [pytest.approx(1 / 9), pytest.approx(0.1)]
    assert "0.111 to 0.100" in err  # the queries have a table of their own


def test_shapes_nan_and_what_is_missing_are_rows(sides, compare, results):
    broken = torch.full((6, 8), math.inf)
    broken[2, 3] = math.nan
    other = artifacts(**{"bert/layer.1": broken, "bert/layer.2": torch.zeros(6, 9)})
    del other["bert/layer.3"]
    code, out, err = compare(*sides(artifacts(), other, model="n" * 64))
    tensors = results(out, "tensor")
    assert code == 0
    assert tensors["bert/layer.1"]["nan"] == [0, 1] and tensors["bert/layer.1"]["inf"] == [0, 47]
    assert (tensors["bert/layer.2"]["verdict"], tensors["bert/layer.2"]["shapes"]) == ("shape", [[6, 8], [6, 9]])
    assert (tensors["bert/layer.3"]["verdict"], tensors["bert/layer.3"]["missing_in"]) == ("missing", "b")
    (whole,) = results(out, "comparison").values()
    assert whole["facts"] == {"model_digest": ["m" * 12, "n" * 12]} and "Facts that differ: model_digest" in err


def test_each_side_has_its_own_facts_and_no_folder_of_this_machine_is_said(sides, compare, tmp_path, capsys):
    a, b = sides(artifacts(), artifacts(), fingerprint={"packages": {"torch": "2.14.0"}, "dtype": "bfloat16"})
    out = compare(a, b)[1]
    assert str(tmp_path) not in out
    path = tmp_path / "run.log"
    path.write_text(out)
    assert process.main(["--path", str(path)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["variant"], row["precision"], row["environment"]["packages"]["torch"]) for row in rows} == {
        ("B", "bfloat16", "2.14.0")
    }
    twin = tmp_path / "other" / "A"
    twin.parent.mkdir()
    (tmp_path / "B").rename(twin)
    assert '"reference": "A (A)", "variant": "A (B)"' in compare(a, twin)[1]


def test_what_is_killed_is_partial(sides, compare, tmp_path, capsys):
    out = compare(*sides(artifacts(), artifacts()))[1]
    path = tmp_path / "run.log"
    path.write_text("".join(out.splitlines(keepends=True)[:-1]))
    assert process.main(["--path", str(path)]) == 0
    statuses = [row["status"] for row in json.loads(capsys.readouterr().out)]
    assert statuses == ["PARTIAL", *["OK"] * 6]


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
    assert "First artifact that differs: bert/layer.2" in text
    assert text.count("different") >= 3 and "Queries whose ranking changed" in text


def test_nothing_that_a_capture_says_is_markup(sides, compare, tmp_path, capsys):
    hostile = "<script>alert(1)</script> | **x** <b>"
    page = tmp_path / "drift.html"
    one = {f"bert/{hostile}": torch.zeros(2, 2), "search/<i>": ranked({"<q>": ["<d>"]})}
    other = {f"bert/{hostile}": torch.ones(2, 2), "search/<i>": ranked({"<q>": ["<e>"]})}
    fingerprint = {"packages": {"torch": "<u>1</u>"}}
    log = tmp_path / "hostile.log"
    log.write_text(compare(*sides(one, other, fingerprint=fingerprint), "--html", page)[1])
    seen = Page()
    seen.feed(page.read_text())
    assert not {"script", "b", "i", "u", "q", "d"} & set(seen.tags)
    assert hostile in " ".join(seen.text)
    capsys.readouterr()
    assert process.main(["--path", str(log), "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert "alert" in out and "<script" not in re.sub(r"\\<", "", out) and "**x**" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: A, B"),
        (("--atol", "-1"), "'-1' is not zero or more"),
        (("--rtol", "x"), "'x' is no number"),
        (("--fail-on", "nothing"), "invalid choice"),
        (("--fail_on", "close"), "unknown argument '--fail_on'; did you mean --fail-on"),
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
    assert (code, "the capture did not end; it holds bert, search" in err) == (2, True)  # and the seeds differ


def test_a_page_that_cannot_be_written(sides, compare):
    code, out, err = compare(*sides(artifacts(), artifacts()), "--html", "/no/such/folder/x")
    assert code == 2 and "cannot be written" in err and '"verdict": "equal"' in out


def test_a_guard_of_rankings_needs_rankings(capture, compare):
    a, b = (capture(name, {"bert/x": torch.zeros(2)}).folder for name in "AB")
    code, _, err = compare(a, b, "--fail-on", "ranking")
    assert (code, "the captures hold no ranking" in err) == (2, True)


def test_a_capture_with_nothing_in_it(capture, compare, tmp_path):
    a, b = (capture(name, {}).folder for name in "AB")
    code, _, err = compare(a, b, "--html", tmp_path / "x.html")
    assert code == 0 and "All 0 artifacts are equal" in err


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
