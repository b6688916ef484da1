"""`fmbench choose` for a sparse model: it is judged by its own retrieval, and what needs dense vectors is refused."""

import pytest

from fmbench import cli, lines
from tests.encoder.test_sparse import save_splade

from .test_choose import FASTER, NOISY, WRONG, last, of

pytest.importorskip("ir_measures", reason="pip install 'fmbench[retrieval]'")


@pytest.fixture(scope="module")
def splade(tmp_path_factory):
    """The folder of a sparse model, saved before a test reads what is said."""
    return save_splade(tmp_path_factory.mktemp("sparse") / "splade")


def parsed(text):
    return [line for row in text.splitlines() if (line := lines.parse_line(row))]


def test_a_sparse_model_is_judged_by_its_own_retrieval(
    wings, splade, tmp_path, capfd, restore_torch, paced, monkeypatch
):
    monkeypatch.syspath_prepend(wings)
    model = ("--model_name", str(splade), "--dataset", str(wings / "wings"))
    log = tmp_path / "choice.log"
    race = (*NOISY, "--vs", FASTER, "--vs", WRONG.replace(",", ""), "--budget", "200s", "--profile", "bulk")
    code = cli.main(["choose", *model, "--log", str(log), *race])
    err = capfd.readouterr().err
    written = parsed(log.read_text())
    found = last(written, "bulk")
    rows = {row["name"]: row for row in found["candidates"]}
    assert code == 0 and found["winner"] == FASTER, err
    assert "sparse vectors are not kept" in err
    assert rows[FASTER]["least_cosine"] == 1 > rows[WRONG]["least_cosine"]
    assert rows[FASTER]["program"].startswith("# No lines for other programs: the model is sparse")
    assert cli.main(["retrieve", "evaluate", "--platform", "cpu", "--threads", "1", *model]) == 0
    (judged,) = of(parsed(capfd.readouterr().out), "IRM")
    assert rows["noisy float32"]["ndcg"] == pytest.approx(judged["metrics"]["ndcg_cut_10"], abs=1e-6)


@pytest.mark.parametrize(
    "words", [("--compress", "int8"), ("--tasks", "SciFact"), ("--encoding_cache_dir", "vectors"), ("--pooling", "cls")]
)
def test_what_needs_dense_vectors_is_refused(wings, splade, tmp_path, capfd, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ["--model_name", str(splade), "--dataset", str(wings / "wings"), "--platforms", "cpu"]
    assert cli.main(["choose", *common, *words]) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert "is a sparse model" in said
