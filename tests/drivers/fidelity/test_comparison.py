"""Two captures side by side: what may be compared, in which order, and which comes first."""

import pytest
import torch

from fmbench.capture.manifest import ArtifactError
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity.comparison import compare, failures
from fmbench.errors import UsageError

ZEROS, ONES = torch.zeros(3, 2), torch.ones(3, 2)
RUN = {"q": {"a": 2.0, "b": 1.0}}


def labels(found):
    return [(row.artifact.label, row.verdict) for row in found.rows]


def test_rows_are_in_execution_order_and_the_first_that_differs_is_named(capture):
    a = capture("A", {"bert/x": ZEROS, "bert/y": ONES, "bert/z": ONES, "search/exact": RUN})
    b = capture("B", {"bert/x": ZEROS, "bert/y": ONES + 1e-6, "bert/z": ONES + 1, "search/exact": RUN})
    told = []
    found = compare(a, b, done=told.append)
    assert labels(found) == [
        ("bert/x", "equal"), ("bert/y", "close"), ("bert/z", "different"), ("search/exact", "equal"),
    ]  # fmt: skip
    assert tuple(told) == found.rows
    assert found.first.artifact.label == "bert/y"
    assert found.first_beyond.artifact.label == "bert/z"
    assert compare(a, a).first is None and compare(a, a).first_beyond is None


def test_what_one_capture_lacks_stands_where_it_ran(capture):
    a = capture("A", {"bert/x": ZEROS, "bert/old": ZEROS, "bert/z": ZEROS})
    b = capture("B", {"bert/first": ZEROS, "bert/x": ZEROS, "bert/new": ZEROS, "bert/newer": ZEROS, "bert/z": ZEROS})
    assert labels(compare(a, b)) == [
        ("bert/first", "missing"), ("bert/x", "equal"), ("bert/new", "missing"), ("bert/newer", "missing"),
        ("bert/old", "missing"), ("bert/z", "equal"),
    ]  # fmt: skip


def test_two_shapes_are_a_row(capture):
    found = compare(capture("A", {"bert/x": ZEROS}), capture("B", {"bert/x": ZEROS.T}))
    (row,) = found.rows
    assert (row.verdict, row.difference.shapes, row.difference.max_abs) == ("shape", ((3, 2), (2, 3)), None)


def test_a_tensor_and_a_ranking_of_one_name_have_nothing_in_common(capture):
    found = compare(capture("A", {"search/x": ZEROS}), capture("B", {"search/x": RUN}))
    assert labels(found) == [("search/x", "missing")] * 2


def test_blocks_of_a_large_tensor_are_put_together(capture):
    large = torch.zeros(70_000, 3)
    other = large.clone()
    other[69_999, 2] = 1
    found = compare(capture("A", {"bert/x": large}), capture("B", {"bert/x": other})).rows[0].difference
    assert (found.first_row, found.max_abs, found.mean_abs) == (69_999, 1.0, 1 / 210_000)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probes": {"bert": {"layers": "all"}}}, "probe 'search' is only in .*A"),
        ({"probes": {"bert": {"layers": "all"}, "search": {}, "lse": {}}}, "probe 'lse' is only in .*B"),
        ({"probes": {"bert": {"layers": "last"}, "search": {}}}, "probe 'bert' has options {'layers': 'all'} and"),
        ({"texts": "u" * 64, "text_count": 5}, r"texts tttttttttttt \(4 texts\) and uuuuuuuuuuuu \(5 texts\)"),
        ({"seed": 1}, "seed 0 and 1"),
    ],
)
def test_captures_of_different_things_are_refused_and_what_differs_is_named(changes, said, capture):
    with pytest.raises(UsageError, match=rf"cannot be compared: .*{said}"):
        compare(capture("A", {}), capture("B", {}, **changes))


def test_captures_of_some_of_the_same_probes_are_compared_by_name(capture, tmp_path):
    capture("A", {"bert/x": ONES, "search/order": {"q": {"a": 1.0}}})
    capture("B", {"bert/x": ONES + 1}, probes={"lse": {}, "bert": {"layers": "all"}})
    folders = (tmp_path / "A", tmp_path / "B")
    with pytest.raises(UsageError, match="; compare what both have with --probes bert$"):
        compare(*map(ArtifactReader, folders))
    (row,) = compare(*(ArtifactReader(folder, ["bert"]) for folder in folders)).rows
    assert (row.artifact.label, row.verdict) == ("bert/x", "different")
    with pytest.raises(UsageError, match=r"B: was captured without the probe search \(with lse, bert\)"):
        ArtifactReader(folders[1], ["bert", "search"])


def test_no_fix_is_named_where_there_is_none(capture):
    with pytest.raises(UsageError, match="is only in .*B; seed 0 and 1$"):
        compare(capture("A", {}), capture("B", {}, probes={"bert": {"layers": "all"}, "lse": {}}, seed=1))
    with pytest.raises(UsageError, match="probe 'lse' is only in .*D$"):
        compare(capture("C", {}, probes={"bert": {}}), capture("D", {}, probes={"lse": {}}))


def test_captures_with_other_judgements_are_refused(capture):
    one, other = capture("A", {}, qrels={"q": {"a": 1}}), capture("B", {}, qrels={"q": {"b": 1}})
    with pytest.raises(UsageError, match="qrels"):
        compare(one, other)


def test_facts_that_differ_are_said(capture):
    a = capture("A", {})
    b = capture("B", {}, model="n" * 64, fingerprint={"packages": {"torch": "2.14.0"}})
    assert compare(a, b).facts == {
        "model_digest": ("mmmmmmmmmmmm", "nnnnnnnnnnnn"), "packages.torch": ("2.13.0", "2.14.0"),
    }  # fmt: skip


@pytest.mark.parametrize("where", ["same", "shape", "missing"])
def test_damage_is_found_in_whatever_is_read(where, capture):
    a = capture("A", {"bert/x": ZEROS})
    b = capture("B", {"bert/y" if where == "missing" else "bert/x": ZEROS.T if where == "shape" else ZEROS})
    path = a.folder / a.manifest.artifacts[0].file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    for one, other in ((a, b), (b, a)):
        with pytest.raises(ArtifactError, match=r"is damaged \(its checksum"):
            compare(one, other)


def test_torch_gets_its_threads_back(capture):
    before = torch.get_num_threads()
    a = capture("A", {"bert/x": ZEROS})
    compare(a, a)
    assert torch.get_num_threads() == before


def test_what_a_guard_refuses(capture):
    other = {"q": {"a": 3.0, "b": 1.0}}
    swapped = {"q": {"a": 1.0, "b": 2.0}}
    base = {"bert/x": ONES, "bert/y": ONES, "search/scores": RUN, "search/order": RUN}
    a = capture("A", base)
    b = capture("B", {"bert/x": ONES + 1e-6, "bert/y": ONES + 1, "search/scores": other, "search/order": swapped})
    rows = compare(a, b).rows

    def refused(what):
        return [row.artifact.label for row in failures(rows, what)]

    assert refused("close") == ["bert/x", "bert/y", "search/scores", "search/order"]
    assert refused("different") == ["bert/y", "search/order"]
    assert refused("ranking") == ["search/order"]
