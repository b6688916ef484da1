"""`fmbench retrieve fuse`: runs that are not of the collection, or of a part of it, are said."""

import pytest

from fmbench.drivers.retrieve.cli import main


@pytest.fixture
def fuse(tmp_path, collection, capfd):
    """fuse(one, other, *words) -> exit code and what was said; a run is a document a query, by its number."""

    def run(one: dict[int, str], other: dict[int, str], *words: str):
        for name, ranks in (("one", one), ("other", other)):
            rows = [f"q{query} Q0 {document} 1 0.5 t\n" for query, document in ranks.items()]
            (tmp_path / f"{name}.trec").write_text("".join(rows))
        runs = f"{tmp_path}/one.trec,{tmp_path}/other.trec"
        return main(["fuse", "--runs", runs, "--dataset", str(collection), *words]), capfd.readouterr().err

    return run


WHOLE = {query: f"d{query}" for query in range(6)}


def test_whole_runs_are_fused_without_a_word(fuse):
    assert fuse(WHOLE, WHOLE) == (0, "")


def test_queries_and_documents_that_are_missing_are_counted(fuse):
    code, said = fuse(WHOLE, {0: "d0", 1: "x1"})
    assert code == 0 and len(said.splitlines()) == 2
    assert "other.trec: queries of wings that it does not rank: 4 of 6" in said
    assert "other.trec: documents that are not in the corpus of wings: 1 ('x1')" in said


def test_runs_of_two_depths_are_warned_of(collection, tmp_path, capfd):
    paths = [tmp_path / "one.trec", tmp_path / "deep.trec"]
    for path, more in zip(paths, (0, 1), strict=True):
        rows = [(q, n) for q in WHOLE for n in range(1, 2 + more * (q < 2))]
        path.write_text("".join(f"q{q} Q0 d{(q + n) % 6} {n} {9 - n} t\n" for q, n in rows))
    code, said = (
        main(["fuse", "--runs", ",".join(map(str, paths)), "--dataset", str(collection)]),
        capfd.readouterr().err,
    )
    assert code == 0 and len(said.splitlines()) == 1
    assert f"do not rank to one depth: 2 of 6 (the deepest: {paths[0]} 1, {paths[1]} 2)" in said


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (dict.fromkeys(WHOLE, "x"), "none of its documents is in the corpus of wings"),
        ({9: "d0"}, "none of its queries is one of wings's that are judged"),
    ],
)
def test_a_run_of_another_collection_is_refused(fuse, other, said):
    code, err = fuse(WHOLE, other)
    assert code == 2 and "other.trec" in err and said in err


def test_a_run_is_not_written_over(fuse, tmp_path):
    code, said = fuse(WHOLE, WHOLE, "--out", f"{tmp_path}/x/../one.trec")
    assert code == 2 and "is one of --runs; name another file" in said


def test_a_run_counts_once(collection, capfd):
    assert main(["fuse", "--runs", "one.trec,one.trec", "--dataset", str(collection)]) == 2
    assert "one file is named twice" in capfd.readouterr().err
