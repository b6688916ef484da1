"""What a sweep says before it runs anything: of cells that cannot run as well as they could."""

import re
import time
from pathlib import Path

import pytest

from fmbench.process.sweep import local
from fmbench.process.sweep.cli import main

from ...tiny_model import write_collection, write_model
from .conftest import FAKE, WITH
from .test_done import NEW_FOLDER

CAPTURE = "{platform: cpu, model_name: model, texts: t}"


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Run a file of these lines in tmp_path, which has a model, texts and a data set; return (stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", NEW_FOLDER))
    write_model(tmp_path / "model")
    write_collection(tmp_path / "d")
    Path("t").write_text("one\ntwo\n")

    def run(text, *words, code=0):
        Path("grid.yaml").write_text(f"sweep: s\n{text}")
        found, printed = main(["grid.yaml", *words]), capsys.readouterr()
        assert found == code, printed
        return printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("run", "where"), [("fidelity capture", "texts: t, out: a"), ("retrieve mine", "dataset: d, output_dir: a")]
)
def test_what_a_cell_of_another_store_left_is_refused_before_it_runs(sweep, run, where):
    text = f"run: {run}\nwith: {{platform: cpu, model_name: model, {where}}}\n"
    assert "1 cell: 1 left" in sweep(text, "--dry-run")[0]
    sweep(text)
    out, err = sweep(text, "--dry-run", "--set", "store=other", code=1)
    assert "1 cell: 1 refused" in out and "grid.yaml:3: " in err and "refused: " in err
    assert "1 cell: 1 done" in sweep(text, "--dry-run")[0]
    assert "1 cell: 1 left" in sweep(text, "--dry-run", "--redo", "all")[0]
    flag = "replace" if "capture" in run else "overwrite_output_dir"
    Path("a", "made").rename("a/tensors")  # as in a capture
    text = text.replace("}", f", {flag}: true}}")
    assert "1 cell: 1 left" in sweep(text, "--dry-run", "--set", "store=other")[0]


def test_what_only_a_refused_cell_would_write_is_refused_with_its_readers(sweep):
    text = f"""runs:
- run: fidelity capture
  with: {CAPTURE}
  matrix:
    out: [a, b]
  include:
  - {{out: b,
     probes: nonsense}}
- run: fidelity compare t a
- run: fidelity compare a b
"""
    out, err = sweep(text, "--dry-run", code=1)
    assert "4 cells: 2 left, 2 refused" in out
    assert "grid.yaml:9: b, nonsense: refused: " in err or "grid.yaml:9: fidelity capture: b" in err
    assert "grid.yaml:11: " in err and "b: is not there, and what would write it, in line 8, is refused" in err
    Path("b").mkdir()  # somebody else has
    assert "4 cells: 3 left, 1 refused" in sweep(text, "--dry-run", code=1)[0]


def test_a_cell_of_an_entry_is_refused_with_the_line_of_the_entry(sweep):
    text = f"""run: driver
with: {{{WITH}}}
needs: {{cpu: 1}}
matrix:
  batch_sizes:
  - 1
  - 2
include:
- {{batch_sizes: 2,
   seeds: 3}}
- {{model_class: mine}}
"""
    _, err = sweep(text, "--dry-run", "--set", "platform=cpu", code=1)
    found = re.findall(r"grid.yaml:(\d+): (.*?): refused", err)
    assert found == [("12", "batch_sizes 1"), ("11", "batch_sizes 2, seeds 3")], err


def test_a_failed_cell_has_a_time_and_a_share_without_cells_a_word(sweep, monkeypatch):
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", "import time; time.sleep(0.2); raise SystemExit('no')"))
    text = f"run: driver\nwith: {{{WITH}, batch_sizes: 1}}\n"
    begun = time.monotonic()
    sweep(text, code=1)
    out, _ = sweep(text, "--dry-run")
    (said,) = re.findall(r"([\d.]+) s +failed", out)
    assert 0.2 <= float(said) <= 1.05 * (time.monotonic() - begun)  # it is rounded
    out, _ = sweep(text, "--dry-run", "--redo", "failed")
    assert re.search(rf"{said} s +to run", out) and f"1 left; time left: about {said} s" in out
    out, err = sweep(text, "--shard", "5/8")
    assert out == "" and "--shard 5/8: grid.yaml has fewer cells" in err


def test_where_nothing_can_be_written_is_told_before_anything_runs(sweep, tmp_path):
    text = f"run: driver\nwith: {{{WITH}, batch_sizes: 1}}\n"
    Path("file").touch()
    for words, said in (
        (["--set", "store=file/store"], "the store cannot be written: file/store: Not a directory; name another"),
        (["--report", "nowhere/x.html"], "--report nowhere/x.html: the folder does not exist"),
        (["--report", "model"], "--report model: is a folder; name a file"),
        (["--report", "grid.yaml"], "--report grid.yaml: is one of the files that are read"),
    ):
        for mode in ([], ["--dry-run"]):
            with pytest.raises(AssertionError) as refused:
                sweep(text, *words, *mode)
            assert f"error: {said}" in str(refused.value) and "done in" not in str(refused.value)
    sweep(text, "--dry-run", "--set", "store=new/store", "--report", "x.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "file", "grid.yaml", "model", "t"]


def test_the_service_that_a_load_starts_is_checked_as_serve_would(sweep):
    text = """run: load
with: {model_name: none, tokens: 16}
matrix:
  serve:
  - --platform null
  - --platform null --bogus 3
  - --platform=null --model_name=none
  - --model_name none
"""
    _, err = sweep(text, "--dry-run", code=1)
    assert re.findall(r"grid.yaml:(\d+): .*: refused: --serve [^:]*: (.*) \(see", err) == [
        ("7", "unknown argument '--bogus'; did you mean --host?"),
        ("9", "the following arguments are required: --platform"),
    ]
