"""The driver on bad input, killed, and cut off."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from fmbench.lines import Rep

from ..conftest import SCRIPTS
from ..families import tiny_config
from ..programs import rest
from .conftest import SHAPES, facts, of, parsed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--platform", "cup"], 2, "--platform cup: unknown; did you mean cpu? (known: "),
        (["--platform", "gpu"], 2, "did you mean cuda, mps, xpu? (known: "),
        (["--platform", "ROCm"], 2, "did you mean cuda? (known: "),
        (["--platform", "aiu"], 2, "did you mean spyre? (known: "),
        (["--platform", "Gaudi"], 2, "did you mean hpu? (known: "),
        (["--platform", "metal"], 2, "did you mean mps? (known: "),
        (["--platform", "intel"], 2, "did you mean cpu, openvino, xpu? (known: "),
        (["--model_class", "SentenceTransformer"], 2, "did you mean AutoModel?"),
        (["--model:dtype", "bf16"], 2, "did you mean bfloat16?"),
        (["--vs", "--platform gpu"], 2, "did you mean cuda"),
        (["--vs", "--"], 2, "--vs '--': '--' names no argument"),
        (["--vs", "foo"], 2, "--vs 'foo': 'foo' belongs to no argument"),
        (["--vs", "--vs x"], 2, "--vs holds for all variants"),
        (["--platform", "spyre"], 3, "--platform spyre is not usable here"),
        (["--platform", "spyre", "--input_sizes", "8,16"], 2, "--platform spyre runs one shape a process"),
        (["--model_class", "BertModle"], 2, "did you mean BertModel"),
        (["--model_name", "absent"], 2, "no configuration of absent"),
        (["--input_sizes", "8,65"], 2, "--input_sizes 65: "),
        (["--platform", "cpu", "--device", "1"], 2, "--device 1: the CPU is one device"),
        (["--platform:noise", "1"], 2, "--platform:noise: no option of cpu"),
        (["--profile", "/no/such/folder/x.json"], 2, "--profile"),
        (["--profile", "/"], 2, "name a file, not a folder"),
        (["--profile", "/dev/null"], 2, "is no file that could be written anew"),
        (["--profile", "x.log", "--resume", "x.log"], 2, "is the log that --resume goes on with"),
        (["--seed", "99999999999999999999"], 2, "too large"),
        (["--threads", "100000"], 2, "too large; the most is 1024"),
        (["--reps", "1_0"], 2, "'1_0' is not a whole number"),
        (["--model_class", "RobertaModel"], 2, "its class is BertModel"),
        (["--model:num_hidden_layers", "1"], 2, "write --model:num_hidden_layers@ 1"),
        (["--model:num_attention_heads@", "7"], 2, "cannot be built"),
        (["--model:attn_implementation", "foo"], 2, "cannot be built"),
        (["--compile:dynamic@", "exit()"], 2, "SystemExit"),
        (["--model:num_hidden_layer@", "1"], 2, "did you mean num_hidden_layers"),
        (["--model:dtype", "bfloat17"], 2, "--model:dtype bfloat17: no dtype of torch; did you mean bfloat16"),
        (["--model:device_map", "auto"], 2, "--model:device_map: says nothing about random weights"),
        (["--compile:mode", "fast"], 2, "--compile: "),
        (["--compile:backend", "eagr"], 2, "did you mean eager"),
        (["--precision", "0"], 2, "--precision: '0' is not between 0% and 100%"),
        (["--precision", "one"], 2, "'one' is no share such as 1%"),
        (["--max_seconds", "-1"], 2, "--max_seconds"),
        (["--vs", "--reps 3"], 2, "--vs '--reps 3': --reps holds for all variants"),
        (["--vs", "--platform cup"], 2, "did you mean cpu"),
        (["--vs", "--torch.call:set_num_threads@ 1"], 2, "a call cannot be undone"),
        (["--resume", "/no/such/folder/x.log"], 2, "--resume /no/such/folder/x.log"),
        (["--torch.set:backends.cudnn.benchmrk@", "True"], 2, "did you mean benchmark"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    drive, tiny_root: Path, arguments: list[str], code: int, said: str
) -> None:
    merged = {
        "--platform": "cpu", "--model_class": "BertModel", "--model_root": str(tiny_root), "--model_name": "tiny",
        "--weights": "random", "--input_sizes": "8", "--batch_sizes": "1", "--reps": "1",
        **dict(zip(arguments[::2], arguments[1::2], strict=True)),
    }  # fmt: skip
    found, _, stderr = drive(*[token for pair in merged.items() for token in pair])
    assert found == code
    (line,) = [line for line in stderr.splitlines() if not line.startswith("note:")]
    assert line.startswith("driver: error: ") and said in line


def test_cuda_without_a_gpu(drive, tiny: list[str]) -> None:
    from fmbench.backends.cuda import CudaBackend

    if CudaBackend.unavailable() is None:
        pytest.skip("this machine has a GPU")
    code, lines, stderr = drive("--platform", "cuda", *tiny, *SHAPES)
    assert (code, lines) == (3, [])
    assert stderr.startswith("driver: error: --platform cuda is not usable here: ") and stderr.count("\n") == 1


def started(tiny: list[str], reps: int) -> subprocess.Popen:
    """Start a long run and return once its first repetitions are printed."""
    command = [
        SCRIPTS / "driver",
        "--platform",
        "cpu",
        *tiny,
        "--input_sizes",
        "8",
        "--batch_sizes",
        "1",
        "--reps",
        str(reps),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_killed_run_keeps_the_lines_so_far(tiny: list[str], sent: signal.Signals, code: int) -> None:
    process = started(tiny, 1_000_000)
    head = []
    for line in process.stdout:
        head.append(line)
        if line.startswith("FMWORK REP 20 "):
            break
    process.send_signal(sent)
    out, stderr = rest(process)
    assert process.returncode == code
    repetitions = of(Rep, parsed("".join(head) + out.rpartition("\n")[0]))
    assert [r.index for r in repetitions] == list(range(1, len(repetitions) + 1)) and len(repetitions) >= 20
    if sent != signal.SIGKILL:
        assert stderr.splitlines()[-1].startswith("driver: interrupted")
        assert "Traceback" not in stderr


def test_a_reader_that_goes_away_is_no_traceback(tiny: list[str]) -> None:
    process = started(tiny, 20_000)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 141
    assert "Traceback" not in process.stderr.read()


def test_lines_come_as_they_are_made() -> None:
    """The first repetition takes minutes."""
    words = "--platform null --platform:milliseconds 200000 --model_class none --model_name none"
    command = [SCRIPTS / "driver", *words.split(), "--input_sizes", "8", "--batch_sizes", "1", "--reps", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        first = os.read(process.stdout.fileno(), 2**16)
        process.kill()
    assert first.startswith(b"FMWORK LOG") and b"FMWORK REP" not in first


def of_family(root: Path, model_type: str, **changes: object) -> list[str]:
    (root / model_type).mkdir()
    (root / model_type / "config.json").write_text(json.dumps(tiny_config(model_type, **changes)))
    return ["--platform", "cpu", "--model_class", "AutoModel", "--model_root", str(root), "--model_name", model_type]


@pytest.mark.parametrize(("model_type", "limit"), [("roberta", 38), ("esm", 38), ("gpt2", 40), ("mpt", 40)])
def test_lengths_beyond_the_models_own_positions_are_refused_before_the_first_repetition(
    drive, tmp_path: Path, model_type: str, limit: int
) -> None:
    model = [*of_family(tmp_path, model_type), "--weights", "random", "--batch_sizes", "1", "--reps", "2"]
    code, printed, stderr = drive(*model, "--input_sizes", f"8,{limit + 1}")
    assert (code, of(Rep, printed)) == (2, [])
    assert f"--input_sizes {limit + 1}: " in stderr and f"has {limit} positions" in stderr
    code, printed, _ = drive(*model, "--input_sizes", limit)
    assert (code, len(of(Rep, printed)), facts(printed)["maximum_length"]) == (0, 2, limit)


def test_an_encoder_decoder_is_measured_by_its_encoder_at_any_length(drive, tmp_path: Path) -> None:
    model = [*of_family(tmp_path, "t5", n_positions=32), "--weights", "random"]
    code, printed, stderr = drive(*model, "--input_sizes", "64", "--batch_sizes", "2", "--reps", "2")
    found = facts(printed)
    assert (code, found["model_class"], found["maximum_length"]) == (0, "T5EncoderModel", None)
    assert found["use_cache"] is False
    assert "note: --model_class AutoModel: T5EncoderModel, the encoder alone" in stderr
