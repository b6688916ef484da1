"""PLAID indexes: files as colbert-ai's indexer writes them, by the same calls of torch and json."""

import json
import shutil

import pytest
import torch

from fmbench import cli, lines
from fmbench.drivers.fidelity.plaid import PlaidIndex, is_index, place

DIM, BITS = 16, 4


def write_index(folder, chunks=3, seed=0):
    """Write what colbert-ai does: float16 centroids, buckets in a tuple, and codes and residuals a chunk."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(8, DIM, generator=generator)
    torch.save(torch.nn.functional.normalize(numbers, dim=-1).half(), folder / "centroids.pt")
    torch.save(numbers.abs().mean(), folder / "avg_residual.pt")  # a tensor without dimensions
    cutoffs, weights = (torch.randn(2**BITS - less, generator=generator).sort().values for less in (1, 0))
    torch.save((cutoffs, weights), folder / "buckets.pt")
    torch.save((torch.arange(12, dtype=torch.int32), torch.ones(8, dtype=torch.int64)), folder / "ivf.pid.pt")
    for chunk in range(chunks):
        codes = torch.randint(0, 8, (20,), generator=generator)
        torch.save(codes.int(), folder / f"{chunk}.codes.pt")
        packed = torch.randint(0, 256, (20, DIM * BITS // 8), generator=generator)
        torch.save(packed.to(torch.uint8), folder / f"{chunk}.residuals.pt")
        (folder / f"doclens.{chunk}.json").write_text("[9, 11]")
        (folder / f"{chunk}.metadata.json").write_text('{"num_passages": 2}')
    config = {"checkpoint": "/somewhere/models/colbert", "dim": DIM, "nbits": BITS, "doc_maxlen": 24}
    said = {
        "config": config,
        "num_chunks": chunks,
        "num_partitions": 8,
        "num_embeddings": 20 * chunks,
        "avg_doclen": 10.0,
    }
    (folder / "metadata.json").write_text(json.dumps(said))
    (folder / "plan.json").write_text(json.dumps(said))
    return folder


@pytest.fixture
def index(tmp_path):
    return write_index(tmp_path / "index")


@pytest.fixture
def compare(index, tmp_path, capfd):
    """compare(change, words, ...) -> exit code, FID lines, stderr: the index against a copy that was changed."""

    def run(change=lambda folder: None, *words):
        other = shutil.copytree(index, tmp_path / "other")
        change(other)
        code = cli.main(["fidelity", "compare", str(index), str(other), *words])
        printed = capfd.readouterr()
        parsed = map(lines.parse_line, printed.out.splitlines())
        return code, [line.data for line in parsed if lines.is_json(line, "FID")], printed.err

    return run


def changed(name, change):
    """A change of one file's tensor."""

    def run(folder):
        torch.save(change(torch.load(folder / name)), folder / name)

    return run


def counts(line):
    return [line[name] for name in ("tensors", "same_shape", "equal", "close", "close_default")]


def test_the_same_index_is_equal_in_ten_of_ten_files(compare):
    code, found, err = compare()
    assert code == 0 and counts(found[-1]) == [10, 10, 10, 10, 10] and found[-1]["verdict"] == "equal"
    assert [line["artifact"] for line in found[1:6]] == [
        f"plaid/{name}"
        for name in ("centroids.pt", "avg_residual.pt", "buckets.pt[0]", "buckets.pt[1]", "doclens.0.json")
    ]
    assert "yes (10/10)" in err and "close by torch.allclose?" in err and "All 15 artifacts are equal" in err


def test_a_change_within_the_tolerance_of_its_type_is_close_and_not_by_torch_allclose(compare):
    code, found, _ = compare(changed("centroids.pt", lambda found: found + 1e-4), "--fail-on", "different")
    assert code == 0 and counts(found[-1]) == [10, 10, 9, 10, 9]
    assert (found[1]["verdict"], found[1]["close_default"], found[-1]["first"]) == (
        "close",
        False,
        "plaid/centroids.pt",
    )


def test_integers_are_equal_or_different_and_one_tensor_of_a_tuple_decides_a_file(compare):
    def change(folder):
        changed("0.residuals.pt", lambda found: found ^ 1)(folder)
        changed("buckets.pt", lambda found: (found[0], found[1] + 1))(folder)

    code, found, err = compare(change, "--fail-on", "different")
    assert code == 1 and counts(found[-1]) == [10, 10, 8, 8, 8] and found[-1]["beyond"] == "plaid/buckets.pt[1]"
    assert "no (8/10)" in err


def test_shapes_that_differ_are_no_values_that_match_and_files_are_compared_as_sets(compare):
    def change(folder):
        changed("ivf.pid.pt", lambda found: (found[0][:11], found[1]))(folder)
        (folder / "2.codes.pt").unlink()
        torch.save(torch.ones(1), folder / "10.codes.pt")

    _, found, _ = compare(change)
    assert counts(found[-1]) == [11, 8, 8, 8, 8]
    verdicts = {line["artifact"].partition("/")[2]: line["verdict"] for line in found[1:-1]}
    assert (verdicts["2.codes.pt"], verdicts["10.codes.pt"], verdicts["ivf.pid.pt[0]"]) == (
        "missing",
        "missing",
        "shape",
    )


def test_files_are_in_the_order_in_which_they_are_made():
    names = ["ivf.pid.pt", "10.codes.pt", "2.codes.pt", "doclens.0.json", "centroids.pt", "0.residuals.pt", "odd.pt"]
    assert sorted(names, key=place) == [
        "centroids.pt", "doclens.0.json", "2.codes.pt", "10.codes.pt", "0.residuals.pt", "ivf.pid.pt", "odd.pt",
    ]  # fmt: skip


class Code:
    def __reduce__(self):
        return print, ("this would have run",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("centroids.pt", Code(), "centroids.pt: is no file of tensors alone, and is not loaded"),
        ("1.codes.pt", {"codes": torch.ones(2)}, "1.codes.pt: holds dict; an index holds tensors"),
        ("buckets.pt", (torch.ones(2), 3), "buckets.pt: holds int; an index holds tensors"),
    ],
)
def test_what_holds_more_than_tensors_is_refused_by_name_and_runs_nothing(name, content, message, compare):
    code, _, err = compare(lambda folder: torch.save(content, folder / name))
    assert code == 2 and message in err and "would have run" not in err


def test_damaged_files_and_folders_of_another_kind_are_one_line(compare, index, tmp_path):
    code, _, err = compare(lambda folder: (folder / "0.codes.pt").write_bytes(b"PK"))
    assert code == 2 and "0.codes.pt: is no file of tensors alone" in err and "Traceback" not in err
    shutil.rmtree(tmp_path / "other")
    code, _, err = compare(lambda folder: (folder / "doclens.1.json").write_text('{"a": 1}'))
    assert code == 2 and "doclens.1.json: holds no list of whole numbers" in err
    shutil.rmtree(tmp_path / "other")
    code, _, err = compare(lambda folder: (folder / "buckets.pt").unlink())
    assert code == 2 and "other: has no buckets.pt; it is no whole index" in err
    (tmp_path / "empty").mkdir()
    assert cli.main(["fidelity", "compare", str(index), str(tmp_path / "empty")]) == 2


def test_an_index_says_how_it_was_made_and_no_folder(index):
    found = PlaidIndex(index)
    assert is_index(index) and not is_index(index.parent) and found.passages() == 6
    assert found.facts()["checkpoint"] == "colbert" and found.facts()["num_partitions"] == 8


@pytest.mark.parametrize("command", [["swap", "--ranking", "a.tsv"], ["bisect", "--index"]], ids=lambda words: words[0])
def test_without_colbert_ai_its_commands_say_what_installs_it(command, index, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    code = cli.main(["fidelity", *command, str(index), "--platform", "cpu", "--model_name", str(tmp_path),
                     "--texts", str(index / "plan.json")])  # fmt: skip
    err = capfd.readouterr().err
    assert code == 2 and "colbert-ai, which makes and searches PLAID indexes, is not installed: pip install" in err
