"""The published results: their page and plots, regenerated from the logs; and the sweeps that measure them."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.checks import check_command
from fmbench.document import Document
from fmbench.options import parse_arguments
from fmbench.process.publishing import speed_table as published_table
from fmbench.process.publishing.narrow import WIDEST, narrow
from fmbench.process.publishing.page import main
from fmbench.process.sweep.matrix import read_sweep
from fmbench.process.writing import view

from ..text_models import save_family
from ..tiny_model import write_collection, write_model
from .test_plots import log_text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
FACTS = (
    '"threads": 1, "device": "cpu", "cpu": "Example CPU 9000", "cpu_stepping": "26/2/1", "cpus_usable": 4, '
    '"memory_bytes": 8589934592, '
    '"compile": false, "weights": "random", "packages": {"torch": "2.13.0", "transformers": "5.23.0"}'
)
FAILED = 'FMWORK ERR {"input_size": 64, "batch_size": 8, "type": "OutOfMemoryError", "message": "no | room"}\n'


def log(**wanted):
    text = log_text(**wanted).replace('"threads": 1', FACTS)
    return text.replace("FMWORK ENV", f"FMWORK ARG --model_name {wanted.get('model', 'org/m')}\nFMWORK ENV", 1)


def add(folder, run, text, machine="vm-1a2b"):
    path = folder / machine / run / "driver.log.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def rows(folder, title):
    """The rows of a table, as dictionaries."""
    text = (folder / "README.md").read_text().partition(title)[2].partition("\n\n")[2].partition("\n\n")[0]
    header, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]
    return [dict(zip(header, line, strict=True)) for line in lines]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two settings of a model, published twice by processes of their own."""
    folder = tmp_path_factory.mktemp("results")
    add(folder, "eager", log() + FAILED)
    add(folder, "compiled", log(n=3).replace('"compile": false', '"compile": true').replace(
        "FMWORK ENV", "FMWORK ARG --compile:backend inductor\nFMWORK ENV", 1))  # fmt: skip
    copy = folder.parent / f"{folder.name}-copy"
    shutil.copytree(folder, copy)
    for place, seed in ((folder, "1"), (copy, "2")):
        command = [sys.executable, "-m", "fmbench.process.publishing.page", place]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    return folder, copy


def test_the_same_logs_give_the_same_bytes(published):
    one, other = ({path.relative_to(place): path.read_bytes() for path in place.rglob("*.*") if path.is_file()}
                  for place in published)  # fmt: skip
    assert one == other
    assert len([path for path in one if path.suffix == ".png"]) == 2


def test_a_line_a_configuration_comes_first_and_says_what_to_run(published):
    compiled, eager = rows(published[0], "### m, random weights")  # the fastest first
    assert (eager["configuration"], compiled["configuration"]) == ("cpu, float32", "cpu, float32, inductor")
    assert eager["latency ms 64 / 1"] == "0.6400 ± 0.0019"
    assert compiled["latency ms 64 / 1"].endswith("\\*")
    assert "**What to run: cpu, float32" in (published[0] / "README.md").read_text()


def test_the_details_are_folded_a_line_a_configuration_and_input_size(published):
    found = rows(published[0], "<summary>m, random weights: latency, milliseconds a batch")
    assert [(row["configuration"], row["input"]) for row in found] == [
        ("cpu, float32", "16"), ("cpu, float32", "64"),
        ("cpu, float32, inductor", "16"), ("cpu, float32, inductor", "64"),
    ]  # fmt: skip


def test_the_interval_is_beside_the_figure_and_doubt_is_told(published):
    _, eager, compiled, _ = rows(published[0], "<summary>m, random weights: latency, milliseconds a batch")
    assert eager["batch 8"] == "failed" and eager["in doubt"] == "failed (OutOfMemoryError): batch 8"
    assert compiled["batch 2"].endswith("\\*") and compiled["in doubt"] == "few: batch 1, 2, 4"
    assert compiled["batch 8"] == ""


def test_throughput_is_batch_over_latency(published):
    row = rows(published[0], "<summary>m, random weights: throughput, sequences a second")[-1]
    assert float(row["batch 4"].partition(" ")[0]) == pytest.approx(1000 * 4 / 2.57, rel=0.01)


def test_the_machine_is_described(published):
    text = (published[0] / "README.md").read_text()
    machine = "Example CPU 9000, stepping 26/2/1, 4 CPUs, 8 GiB"
    assert f"## vm-1a2b\n\n{machine}. 2 runs, 13 shapes: 6 in doubt, 1 failed. The logs: " in text
    assert " [^vm1a2b-1] [^vm1a2b-2]\n" in text
    assert "[eager](vm-1a2b/eager/driver.log.gz)" in text
    links = [line.rpartition("(")[2].removesuffix(")") for line in text.splitlines() if line.startswith("![")]
    assert len(links) == 2 and all((published[0] / link).is_file() for link in links)


def test_students_and_what_a_command_printed_are_on_the_page(tmp_path):
    add(tmp_path, "students", (ROOT / "tests/golden-distill/format-1.log").read_text())
    (tmp_path / "vm-1a2b" / "ladder.md").write_text("## Ladder\n\n| a |\n| --- |\n| 1 |\n")
    assert main([str(tmp_path)]) == 0
    text = (tmp_path / "README.md").read_text()
    section = text.partition("### Students on ")[2]
    plots = list((tmp_path / "plots").iterdir())
    assert len(plots) == 1 and f"(plots/{plots[0].name})" in section
    assert "| student | kept |" in section and "| front |" in section and "shows what a student keeps" in section
    assert "<summary>Ladder</summary>\n\n| a |" in section.partition("| student |")[2]
    assert "0 shapes: 0 in doubt" in text and "### Latency" not in text


def test_a_choice_is_its_answer_its_pictures_and_below_them_its_evidence(tmp_path):
    add(tmp_path, "choose", (ROOT / "tests/golden-choice/format-1.log").read_text())
    assert main([str(tmp_path)]) == 0
    text = (tmp_path / "README.md").read_text()
    section, *evidence = text.split("<details><summary>all-MiniLM-L6-v2: choice</summary>")
    assert len(evidence) == 1, "those that failed stand with the others"
    evidence = evidence[0]
    answer = "Run openvino bfloat16: "
    assert f"**{answer}" in section and f"**{answer}" in evidence.partition("| candidate |")[0]
    drawn = [path.name for path in (tmp_path / "plots").iterdir()]
    assert len(drawn) == 2 and all(f"(plots/{name})" in section for name in drawn)
    assert "| front |" in evidence and "Measured with configuration" in evidence and "From [^vm1a2b-1]" in evidence
    assert "import " not in evidence, "what can be pasted is one command away"
    assert all(line.count(" | ") < WIDEST for line in text.splitlines() if line.startswith("| "))


def divided(*lines):
    """The cells of the tables that a table becomes."""
    text = narrow("".join(f"| {' | '.join(line)} |\n" for line in lines))
    assert narrow(text) == text
    return [[line[2:-2].split(" | ") for line in part.splitlines()] for part in text.split("\n\n")]


def test_a_wide_table_becomes_several_that_name_their_lines():
    cells, nothing = [f"c{number}" for number in range(2 * WIDEST)], [""] * (2 * WIDEST - 1)
    rule = ["---", "---:", *["---:"] * len(cells)]
    parts = divided(["type", "input", *cells], rule, ["a \\| b", "1", *cells], ["a \\| b", "2", *nothing, "failed"])
    assert [cell for part in parts for cell in part[2][2:]] == cells
    assert all(line[:2] == ["a \\| b", "1"] and len(line) <= WIDEST for line in (part[2] for part in parts))
    assert [part[3:] for part in parts[:-1]] == [[]] * (len(parts) - 1) and parts[-1][3][-1] == "failed"
    assert narrow("a | b\n") == "a | b\n"


@pytest.mark.parametrize("place", range(2, 2 * WIDEST))
def test_an_interval_stays_beside_what_it_is_of(place):
    header = ["name", *(f"c{number}" for number in range(2 * WIDEST))]
    header[place] = "95% interval"
    parts = divided(header, ["---", *["---:"] * 2 * WIDEST], ["x"] * len(header))
    assert [part[0] for part in parts if f"c{place - 2}" in part[0] and "95% interval" in part[0]]
    assert max(len(part[0]) for part in parts) <= WIDEST


def test_no_run_is_a_page_too(tmp_path):
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text().endswith("\nNone is published yet.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_plot_of_a_run_that_is_gone_is_removed(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "old.png").touch()
    assert main([str(tmp_path)]) == 0
    assert list((tmp_path / "plots").iterdir()) == []


def test_a_figure_is_rounded_once():
    """RES says 1.465 of a median of 1.46451 ms: rounded again, that would be 1.47."""
    row = {
        "itl": 1.465, "thp": 2731.3, "batch": 4, "status": "OK",
        "statistics": {"p50": 1.46451, "interval": [1.44, 1.48], "stable": True},
    }  # fmt: skip
    assert view.latency(row) == published_table.cell(row, published_table.latency) == "1.46 ± 0.02"
    assert view.rate(row) == pytest.approx(4000 / 1.46451, rel=1e-9)
    other = {**row, "itl": 9.0, "thp": 100.0}  # the repetitions do not bear it out: it stays as it was said
    assert (view.median(other), view.rate(other)) == (9.0, 100.0)


def test_no_name_is_markup(tmp_path):
    add(tmp_path, "a|b", log(batches=(4,), inputs=(16,), model="org/<script>|`x`"), machine="m[1]")
    assert main([str(tmp_path)]) == 0
    text = (tmp_path / "README.md").read_text()
    assert "<script>" not in text and "### \\<script\\>\\|\\`x\\`, random" in text and "(m%5B1%5D/a%7Cb/" in text


@pytest.mark.parametrize("words", [[], ["a", "b"], ["--help"], ["no-such-folder"]])
def test_a_wrong_command_line(words, capsys):
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_log_that_cannot_be_read_leaves_the_page_as_it_was(tmp_path, capsys):
    (tmp_path / "README.md").write_text("old")
    add(tmp_path, "newer", 'FMWORK LOG {"format": 99}\n')
    assert main([str(tmp_path)]) == 2
    assert "upgrade" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "old"


def test_the_page_in_the_repository_is_what_its_logs_give(tmp_path):
    copy = shutil.copytree(RESULTS, tmp_path / "results")
    assert main([str(copy)]) == 0
    assert (copy / "README.md").read_text() == (RESULTS / "README.md").read_text(), "run `make results`"
    plots = [{path.name for path in (place / "plots").glob("*")} for place in (copy, RESULTS)]
    assert plots[0] == plots[1], "run `make results`"


def test_published_logs_are_small():
    assert all(path.stat().st_size < 200_000 for path in RESULTS.glob("*/*/driver.log.gz"))


# -- the sweeps that measure them


def cells(name, **environment):
    return read_sweep(Document(RESULTS / f"{name}.yaml", {"THREADS": "2", **environment}), {}, trusted=True).cells


def test_what_is_published_is_measured_with_the_driver():
    found = [parse_arguments(cell.command.words) for cell in cells("speed")]
    settings = {(each.platform, each.literal("compile", "backend"), each.repeat) for each in found}
    assert settings == {
        ("cpu", None, 1), ("cpu", "inductor", 1), ("onnxruntime", None, 1), ("openvino", None, 3),
    }  # fmt: skip
    assert len(found) == 12 and len({each.model_name for each in found}) == 2
    assert all(max(each.input_sizes) == 512 and len(each.shapes) == 6 for each in found)
    assert all(each.weights == "random" and each.ceiling and each.max_seconds and each.threads == 2 for each in found)
    assert all(each.literal("model", "dtype") for each in found)


def test_every_cell_of_quality_is_one_that_its_command_takes(tmp_path):
    model = write_model(tmp_path / "model")
    for name in ("scifact", "cranfield"):
        write_collection(tmp_path / name)
    shutil.copy(tmp_path / "scifact/qrels/test.tsv", tmp_path / "scifact/qrels/train.tsv")
    found = cells("quality", MODEL=str(model), DATA=str(tmp_path), FOLDER=str(tmp_path / "work"))
    checked = [(cell.run, check_command(cell.run, cell.command.words)) for cell in found]
    assert {one.platform.name for run, one in checked if run != "retrieve evaluate"} == {"cpu"}
    engines = [one.platform.name for run, one in checked if run == "retrieve evaluate"]
    assert engines == ["cpu"] * 2 + ["onnxruntime"] * 2 + ["openvino"] * 3
    assert len(checked) == 9 + len(engines)


def test_every_cell_of_choice_is_one_that_its_command_takes(tmp_path):
    """With the folders that the script makes, their tokenizer beside the published configurations."""
    model, data = save_family(tmp_path / "model", "bert"), write_collection(tmp_path / "scifact")
    subprocess.run([sys.executable, RESULTS / "models.py", model, data, tmp_path / "work"], check=True)
    found = cells("choice", MODEL=str(model), DATA=str(data), FOLDER=str(tmp_path / "work"))
    chosen = [check_command(cell.run, cell.command.words).arguments for cell in found if cell.run == "choose"]
    assert [one.weights for one in chosen] == ["pretrained"] + ["random"] * 4
    assert len({one.model_name for one in chosen}) == 5
    assert [cell.run for cell in found if cell.run != "choose"] == ["load"] * 4
