"""The driver's doubt: comparisons, limits, phases, names, isolation, resuming."""

import io
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from fmbench.drivers.isolate import report_signal
from fmbench.lines import Line, LineError, Rep, Res, Setup, parse_line
from fmbench.options import parse_arguments
from fmbench.session import LogWriter

from .conftest import NO_GRADIENTS, SMALL, facts, of, parsed


def test_a_comparison_on_the_real_part(drive, tiny: list[str]) -> None:
    code, lines, said = drive("--platform", "cpu", *tiny, *SMALL, *NO_GRADIENTS, "--vs", "--model:num_hidden_layers@ 1",
                              "--vs", "--threads 1")  # fmt: skip
    assert code == 0
    assert [line.data.get("variant") for line in of("CASE", lines)] == ["A", "B", "C"]
    pairs = [line.data for line in of("PAIR", lines)]
    assert [(pair["a"], pair["b"], pair["overrides"]) for pair in pairs] == [
        ("A", "B", "--model:num_hidden_layers@ 1"), ("A", "C", "--threads 1"),
    ]  # fmt: skip
    assert all(pair["interval"][0] <= pair["ratio"] <= pair["interval"][1] for pair in pairs)
    flops = [line.data["flops"] for line in of("CASE", lines)]
    assert flops[1] < flops[0] == flops[2]
    facts_of = {line.data.get("variant"): line.data for line in of("ENV", lines) if "parameters" in line.data}
    assert facts_of["B"]["parameters"] < facts_of[None]["parameters"]
    assert facts_of["C"]["threads"] == 1
    header, *rows = [line for line in said.splitlines() if line.lstrip().startswith(("input", "8 "))]
    assert "against A" in header and len(rows) == 3
    assert sum(" times A (" in line for line in rows) == 2
    assert "B (--model:num_hidden_layers@ 1)" in said and "C (--threads 1)" in said


def test_variants_that_are_the_same_configuration_are_said_to_be(drive, tiny: list[str]) -> None:
    others = {
        "--platform cpu": "A", "--model:dtype@ torch.float32": "A", "--model_class AutoModel": "A",
        "--model:attn_implementation eager": None, "--torch.set:backends.mkldnn.enabled@ False": None,
        "--model:attn_implementation eager --model:dtype float32": "E", "--model:num_hidden_layers@ 1": None,
    }  # fmt: skip
    _, lines, said = drive("--platform", "cpu", *tiny, *SMALL, *NO_GRADIENTS, *(f"--vs={one}" for one in others))
    pairs = [line.data for line in of("PAIR", lines)]
    assert {pair["overrides"]: pair.get("same_as") for pair in pairs} == others
    notes = [line for line in said.splitlines() if "is the same configuration as" in line and line.startswith("note: ")]
    assert len(notes) == 4 and all("dtype float32" in line for line in notes)
    assert "note: B (--platform cpu) is the same configuration as A: platform cpu" in said
    rows = [line for line in said.splitlines() if " C (float32) " in line]  # of the table, and of slow progress
    assert sum("the same configuration as A" in row for row in rows) == 1


def test_a_result_names_the_class_that_was_typed_or_built(drive, tiny: list[str]) -> None:
    def named(*argv: str) -> str:
        (result,) = of(Res, drive(*argv, "--input_sizes", "8", "--batch_sizes", "1", "--reps", "1")[1])
        return result.model_class

    assert named("--platform", "cpu", *tiny[2:]) == "BertModel"
    assert named("--platform", "cpu", *tiny[2:], "--model_class", "AutoModel") == "AutoModel"
    assert named("--platform", "null", "--model_name", "m") == "none"


def test_when_repetitions_end_stands_in_the_log(drive) -> None:
    sizes = ["--platform", "null", "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1"]
    said = of("CASE", drive(*sizes, "--max_seconds", "0.1")[1])[0].data
    assert (said["reps"], said["precision"], said["max_seconds"]) == (10_000, 0.02, 0.1)
    said = of("CASE", drive(*sizes, "--reps", "2")[1])[0].data
    assert (said["reps"], said["precision"], said["max_seconds"]) == (2, None, None)


def test_the_settling_command_measures_what_was_measured(drive) -> None:
    sizes = ["--platform", "null", "--model_name", "it's m", "--input_sizes", "8", "--batch_sizes", "1"]
    more = ["--vs", "--model:x 'a b' --model:token secret", "--model:y=--z"]
    _, _, said = drive(*sizes, *more, "--reps", "2", "--max_seconds=3")
    words = shlex.split(said.rpartition("to settle them: ")[2])
    assert words[0] == "driver" and "secret" not in said
    found = dict(parse_arguments(words[1:]).given)
    assert found == {
        "platform": "null", "model_name": "it's m", "input_sizes": "8", "batch_sizes": "1", "model:y": "--z",
        "vs": "--model:x 'a b' --model:token ***", "precision": "1%", "reps": "100",
    }  # fmt: skip


def test_variants_that_do_not_fit_together_are_refused_first(drive, tiny: list[str], monkeypatch) -> None:
    from fmbench.backends.cpu import CpuBackend

    monkeypatch.setattr(CpuBackend, "free_bytes", lambda self: 1000)
    code, lines, said = drive("--platform", "cpu", *tiny, *SMALL, "--vs", "--platform cpu")
    assert code == 2 and not of(Rep, lines)
    assert "its weights take 0.1 GB beside those of A" in said


def test_ceilings_and_where_a_shape_stands(drive, tiny: list[str]) -> None:
    code, lines, _ = drive("--platform", "cpu", *tiny, *SMALL, *NO_GRADIENTS, "--ceiling")
    assert code == 0
    run, shape = (line.data for line in of("CEIL", lines))
    assert run["dtype"] == "float32" and run["flops_per_second"] > 0
    assert shape["bound"] in ("compute", "bandwidth") and 0 < shape["share"] < 1.5
    (statistics,) = of("STAT", lines)
    assert (statistics.data["bound"], statistics.data["roofline_share"]) == (shape["bound"], shape["share"])
    (result,) = of(Res, lines)
    assert shape["achieved_flops_per_second"] == pytest.approx(shape["flops"] / result.latency * 1e3, rel=0.01)


def test_a_platform_without_torch_operations_says_why_it_has_no_ceiling(drive) -> None:
    argv = ["--platform", "null", "--model_class", "none", "--model_name", "none", *SMALL, "--ceiling"]
    (line,) = of("CEIL", drive(*argv)[1])
    assert line.data == {"reason": "torch's own operations do not reach this platform"}


def test_memory_and_energy_are_readings_or_null_with_a_reason(drive, tiny: list[str]) -> None:
    _, lines, _ = drive("--platform", "cpu", *tiny, *SMALL)
    (memory,), (energy,) = of("MEM", lines), of("ENERGY", lines)
    assert (memory.data["host_peak_bytes"] or 0) > 10**6 or memory.data["reason"]
    assert memory.data["model_bytes"] == facts(lines)["parameters"] * 4
    assert (energy.data["joules"] is None) == (energy.data["reason"] is not None)


def test_precision_is_reached_or_the_repetitions_end(drive, tiny: list[str]) -> None:
    argv = ["--platform", "cpu", *tiny, *NO_GRADIENTS, "--input_sizes", "8", "--batch_sizes", "1"]
    _, lines, _ = drive(*argv, "--reps", "300", "--precision", "20%")
    (statistics,) = of("STAT", lines)
    low, high = statistics.data["interval"]
    assert len(of(Rep, lines)) >= 10
    if statistics.data["ended"] == "precision":
        assert (high - low) / 2 <= 0.2 * statistics.data["p50"]
    else:
        assert (statistics.data["ended"], len(of(Rep, lines))) == ("reps", 300)


def test_phases_are_apart(drive, tiny: list[str]) -> None:
    _, lines, _ = drive("--platform", "cpu", *tiny, *SMALL, *NO_GRADIENTS, "--compile:backend", "eager")
    phases = {line.data["name"]: line.data for line in of("PHASE", lines)}
    assert {"import", "load", "compile"} <= set(phases)
    assert phases["compile"]["inside"] == "repetition 1"
    assert 0 < phases["compile"]["seconds"] <= of(Rep, lines)[0].duration / 1e9
    assert of("STAT", lines)[0].data["recompiled"] == 0


def test_a_recompile_among_the_repetitions_is_flagged(drive, tiny: list[str], monkeypatch) -> None:
    from fmbench.measure import TokenGenerator

    batch = TokenGenerator.batch
    count = 0

    def changing(self):
        nonlocal count
        count += 1
        made = batch(self)
        return {name: tensor.int() if count == 9 else tensor for name, tensor in made.items()}

    monkeypatch.setattr(TokenGenerator, "batch", changing)
    _, lines, said = drive("--platform", "cpu", *tiny, *SMALL, *NO_GRADIENTS, "--compile:backend", "eager",
                           "--compile:dynamic@", "False")  # fmt: skip
    (statistics,) = of("STAT", lines)
    assert statistics.data["recompiled"] == 1 and statistics.data["recompiled_at"] == [7]
    assert statistics.data["reason"].startswith("recompiled")
    assert "unstable: recompiled" in said


def test_a_log_names_nobody_unless_told_to(drive, tiny: list[str]) -> None:
    import getpass
    import socket

    argv = ["--platform", "cpu", *tiny, *SMALL]
    quiet = facts(drive(*argv)[1])
    assert "user" not in quiet and socket.gethostname() not in [str(value) for value in quiet.values()]
    told = facts(drive(*argv, "--disclose")[1])
    assert (told["host"], told["user"]) == (socket.gethostname(), getpass.getuser())


def test_a_token_on_the_command_line_stays_out_of_the_log(drive, minilm: Path) -> None:
    model = ["--model_class", "BertModel", "--model_name", minilm, "--model:token", "hf_secret"]
    code, lines, _ = drive("--platform", "cpu", *model, *SMALL)
    assert code == 0
    assert "hf_secret" not in "".join(line.format() for line in lines)
    assert str(minilm) not in of("ENV", lines)[-2].format()


def test_a_child_that_is_killed_is_a_row_with_its_signal(tmp_path: Path, tiny: list[str], forked) -> None:
    """A platform that kills its own process on one shape stands in for a crash."""
    (tmp_path / "killer.py").write_text(
        "import os, signal\nfrom fmbench.backends.cpu import CpuBackend\n"
        "class Killer(CpuBackend):\n    name = 'killer'\n    summary = 'kills itself at 16 tokens'\n"
        "    def place(self, batch):\n"
        "        if batch['input_ids'].shape[1] == 16: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return batch\n"
    )
    distribution = tmp_path / "killer-1.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text("[fmbench.backends]\nkiller = killer:Killer\n")
    shapes = ["--input_sizes", "8,16,24", "--batch_sizes", "1", "--reps", "3", "--isolate"]
    done = forked("driver", "--platform", "killer", *tiny, *shapes, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    lines = parsed(done.stdout)
    assert [line.input_size for line in of(Res, lines)] == [8, 24]
    (failure,) = of("ERR", lines)
    assert (failure.data["input_size"], failure.data["signal"]) == (16, "SIGKILL")


def test_resume_skips_what_is_whole_and_refuses_another_fingerprint(drive, tiny: list[str], tmp_path: Path) -> None:
    log = tmp_path / "run.log"

    def run(sizes: str, *more: str) -> tuple[int, str]:
        argv = ["--platform", "cpu", *tiny, "--batch_sizes", "1", "--reps", "3", "--threads", "1"]
        code, lines, said = drive(*argv, "--input_sizes", sizes, "--resume", log, *more)
        assert lines == []  # the log gets them
        return code, said

    assert run("8")[0] == 0
    with log.open("a") as stream:
        stream.write("FMWORK REP 1 3 1.0")  # a torn line, as a killed run leaves it
    code, said = run("8,16")
    assert code == 0 and "holds 1 of 2 shapes" in said
    sizes = [line.input_size for line in of(Res, [line for line in map(whole, log.read_text().splitlines()) if line])]
    assert sizes == [8, 16]
    before = log.read_text()
    assert run("8,16") == (0, f"note: {log} holds 2 of 2 shapes\n")
    assert log.read_text() == before
    code, said = run("8,24", "--model:num_hidden_layers@", "1")
    assert code == 2 and "model:num_hidden_layers@: None then, 1 now" in said


def test_resume_refuses_a_model_that_was_edited_and_names_the_part(
    drive, tiny_text_model: Path, tmp_path: Path, monkeypatch
) -> None:
    folder, log = Path(shutil.copytree(tiny_text_model, tmp_path / "model")), tmp_path / "run.log"
    words = ["--platform", "cpu", "--threads", "1", "--model_class", "BertModel", "--model_name", folder,
             "--batch_sizes", "1", "--reps", "2", "--resume", log]  # fmt: skip
    assert drive(*words, "--input_sizes", "8")[0] == 0
    known = facts([line for line in map(whole, log.read_text().splitlines()) if line])
    assert known["model_parts"]["configuration"] and known["torch_settings"]["float32_matmul_precision"] == "highest"
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    before = log.read_bytes()
    code, _, said = drive(*words, "--input_sizes", "8,16")
    assert log.read_bytes() == before
    assert code == 2 and "variables.KMP_BLOCKTIME: None then, 7 now" in said
    monkeypatch.delenv("KMP_BLOCKTIME")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    for sizes in ("8", "8,16"):  # all there, and one missing
        code, _, said = drive(*words, "--input_sizes", sizes)
        assert code == 2 and "another fingerprint (the configuration is another now)" in said


def whole(text: str) -> Line | None:
    """Parse a line, or nothing where it is torn."""
    try:
        return parse_line(text)
    except LineError:
        return None


def test_secrets_inside_overrides_stay_out_of_everything(drive, minilm: Path) -> None:
    model = ["--model_class", "BertModel", "--model_name", minilm]
    argv = ["--platform", "cpu", *model, *SMALL, *NO_GRADIENTS, "--vs", "--model:token hf_secretsecret"]
    code, lines, said = drive(*argv)
    assert code == 0
    assert "hf_secretsecret" not in "".join(line.format() for line in lines) + said


@pytest.mark.slow
def test_isolated_variants_have_a_ceiling_each(forked, tiny: list[str]) -> None:
    done = forked("driver", "--platform", "cpu", *tiny, "--input_sizes", "8,16", "--batch_sizes", "1", "--reps", "3",
                  *NO_GRADIENTS, "--isolate", "--ceiling", "--vs", "--model:dtype@ torch.bfloat16")  # fmt: skip
    assert done.returncode == 0
    limits, shapes = {}, []
    for line in of("CEIL", parsed(done.stdout)):
        if "input_size" in line.data:
            shapes.append(line.data)
        else:
            assert limits.setdefault(line.data.get("variant", "A"), line.data) is line.data
    assert {name: limit["dtype"] for name, limit in limits.items()} == {"A": "float32", "B": "bfloat16"}
    assert [(shape["input_size"], shape["variant"]) for shape in shapes] == [(8, "A"), (8, "B"), (16, "A"), (16, "B")]
    for shape in shapes:
        limit = limits[shape["variant"]]
        slope = limit["bytes_per_second"] * shape["flops"] / shape["bytes"]
        attainable = min(limit["flops_per_second"], slope)
        assert shape["attainable_flops_per_second"] == pytest.approx(attainable, rel=1e-6)


def test_a_killed_comparison_is_a_row_for_every_variant_without_a_result() -> None:
    stream = io.StringIO()
    report_signal(LogWriter(stream), (8, 1), [{"variant": "B"}, {"variant": "C"}], signal.SIGKILL)
    assert [(line.data["variant"], line.data["signal"]) for line in of("ERR", parsed(stream.getvalue()))] == [
        ("B", "SIGKILL"), ("C", "SIGKILL"),
    ]  # fmt: skip


def test_isolated_shapes_make_one_log_share_one_ceiling_and_trace_into_files_of_their_own(
    forked, tiny: list[str], tmp_path
) -> None:
    trace = tmp_path / "trace.json"
    done = forked("driver", "--platform", "cpu", *tiny, "--input_sizes", "8,16", "--batch_sizes", "1", "--reps", "3",
                  *NO_GRADIENTS, "--isolate", "--ceiling", "--profile", trace)  # fmt: skip
    assert done.returncode == 0
    lines = parsed(done.stdout)
    assert [(line.input_size, line.batch_size) for line in of(Res, lines)] == [(8, 1), (16, 1)]
    assert len(of("LOG", lines)) == 1 and len(of(Setup, lines)) == 1
    assert done.stdout.count("RUN 8 / 1") == 1 and done.stderr.count("sequences/s") == 1
    ceiling, *shapes = (line.data for line in of("CEIL", lines))
    assert len(shapes) == 2 and all(shape["input_size"] for shape in shapes)
    for shape in shapes:
        slope = ceiling["bytes_per_second"] * shape["flops"] / shape["bytes"]
        attainable = min(ceiling["flops_per_second"], slope)
        assert shape["attainable_flops_per_second"] == pytest.approx(attainable, rel=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace-16x1.json", "trace-8x1.json"]


def test_too_few_pairs_do_not_tell(drive, tiny: list[str]) -> None:
    sizes = ("--input_sizes", "8", "--batch_sizes", "1", "--reps", "6")
    _, lines, said = drive("--platform", "cpu", *tiny, *sizes, "--vs", "--platform cpu")
    (pair,) = of("PAIR", lines)
    assert pair.data["verdict"] is None and pair.data["reason"] == "too few pairs to tell: 5, and 8 is the least"
    assert "too few pairs to tell" in said
