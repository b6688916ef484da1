"""The Python lines for production, run as they are printed: they give the vectors of fmbench.encoder."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from fmbench.backends.cpu import CpuBackend
from fmbench.command_line import CommandLine
from fmbench.drivers.choose.arguments import parse_model
from fmbench.drivers.choose.production import command_of, program_of
from fmbench.encoder import Encoder, Recipe
from fmbench.hooks import guarded
from fmbench.options import parse_arguments
from fmbench.secrets import masked_text
from fmbench.torch_settings import VARIABLES
from tests.text_models import add_modules, save_bert
from tests.tiny_model import write_model

QUESTIONS, PASSAGES = ["wing flow"], ["shock wave heat", "nozzle"]
MANY = [" ".join(["shock", "wave", "heat", "flow", "jet"][: 1 + number % 5]) for number in range(40)]
CASES = {
    "fp32": ("sentence_transformers", "--platform cpu --model:dtype@ torch.float32"),
    "bf16": ("sentence_transformers", "--platform cpu --model:dtype@ torch.bfloat16 --model:attn_implementation eager"),
    "fp16": ("sentence_transformers", "--platform cpu --model:dtype@ torch.float16 --model:attn_implementation eager"),
    "compiled": ("sentence_transformers", "--platform cpu --compile:backend aot_eager --compile:dynamic@ True"),
    "onnxruntime": ("onnxruntime", "--platform onnxruntime"),
    "onnxruntime int8": ("onnxruntime", "--platform onnxruntime --platform:quantize int8"),
    "openvino": ("openvino", "--platform openvino --compile:options:config:INFERENCE_PRECISION_HINT f32"),
    "openvino fp16": ("openvino", "--platform openvino --model:dtype float16"),
    "openvino int8": ("nncf", "--platform openvino --platform:quantize int8-weights"),
}
SAME_NORM = 1e-6
RECIPES = {
    "folder's recipe": Recipe(),
    "own recipe": Recipe(query_prompt="nose cone ", truncate_dim=16, normalise=True, passage_max_length=8),
    "truncated": Recipe(truncate_dim=16),  # of what the folder normalised
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("production") / "tiny")


@pytest.fixture
def encoder(folder, restore_torch):
    def make(words, recipe=None, model=folder):
        command = [
            "--model_name",
            str(model),
            *([] if "--threads" in words else ["--threads", "1"]),
            "--input_sizes",
            "8",
            "--batch_sizes",
            "1",
            "--reps",
            "1",
        ]
        return Encoder.load(parse_arguments([*command, *words.split()], "driver"), recipe)

    return make


def run(program, passages=PASSAGES):
    """The names that the lines define, of our texts."""
    for printed, ours in (('["a question"]', QUESTIONS), ('["a passage", "another one"]', passages)):
        assert printed in program
        program = program.replace(printed, repr(ours))
    assert masked_text(program) == program  # what a log would hide is no program any more
    found = {}
    exec(compile(program, "production", "exec"), found)  # noqa: S102 (our own lines)
    return found


def cosines(ours, theirs):
    """Those of the rows of two arrays, whose shapes are the same."""
    theirs = np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape
    return (ours * theirs).sum(axis=1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("name", CASES)
def test_the_lines_give_the_same_vectors(name, recipe, encoder):
    package, words = CASES[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    made = encoder(words, recipe)
    expected = {"queries": made.encode(QUESTIONS, "query"), "passages": made.encode(PASSAGES, "passage")}
    found = run(program_of(made, 1))
    for vectors, ours in expected.items():
        assert cosines(ours, found[vectors]).min() >= 0.9999
        norms = np.linalg.norm(ours, axis=1)
        assert np.linalg.norm(found[vectors], axis=1) == pytest.approx(norms, abs=SAME_NORM)
        assert norms == pytest.approx(1, abs=1e-6) or recipe == RECIPES["truncated"]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_in_bulk_the_lines_have_as_many_streams_and_as_large_batches(name, encoder):
    package, words = CASES[name]
    pytest.importorskip(package)
    recipe = Recipe(tokens_per_batch=24, pooling=("cls",), normalise=False)
    made, alone = (encoder(f"{words} --threads 2", recipe) for _ in range(2))
    expected = made.encode(MANY)
    alone.encode(MANY[:1])  # as where the vectors are kept already
    assert program_of(alone, 1) == program_of(made, 1)
    found = run(program_of(made, 1), MANY)
    assert cosines(expected, found["passages"]).min() >= 0.9999
    sizes = []
    found["run_all"] = lambda batches, finish: [
        (sizes.append(batch["input_ids"].size), finish(found["run"](batch), batch))[1] for batch in batches
    ]
    assert cosines(expected, found["encode_all"](MANY, "", None)).min() >= 0.9999
    assert len(sizes) == made.timings.batches and 12 < max(sizes) <= 24
    if name == "openvino":
        assert found["streams"].get_property("NUM_STREAMS") == 2
    else:
        assert found["streams"].get_session_options().intra_op_num_threads == 1


def test_what_threads_of_torch_were_told_of_spinning_is_said(encoder, monkeypatch):
    made = encoder("--platform cpu")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert program_of(made, 1).startswith("import torch\n")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    assert program_of(made, 1).startswith("# Raced with GOMP_SPINCOUNT=1000 in the environment, which counts where")


def test_what_other_programs_cannot_do_is_said(encoder, tmp_path):
    pytest.importorskip("onnxruntime")
    layered = encoder("--platform onnxruntime", model=add_modules(save_bert(tmp_path / "layered")))
    layered.encode(PASSAGES)
    assert program_of(layered, 1).startswith("# No lines for other programs: the model's folder has layers")
    pooled = encoder("--platform onnxruntime", Recipe(pooling=("cls", "mean")))
    pooled.encode(PASSAGES)
    assert "the pooling is cls,mean" in program_of(pooled, 1)


@pytest.mark.parametrize(
    ("program", "said"),
    [(lambda: 1 / 0, r"program\(\): ZeroDivisionError: "), (lambda: 5, r"program\(\) returns Python lines")],
)
def test_lines_that_a_platform_fails_to_give_cost_no_candidate(program, said, encoder, monkeypatch):
    monkeypatch.setattr(CpuBackend, "program", guarded("program", lambda self: program()))
    found = program_of(encoder("--platform cpu"), 1)
    assert re.match(f"# No lines for other programs: --platform cpu: {said}.*; fmbench.encoder.Encoder runs it", found)


def test_the_command_evaluates_the_data_set_with_the_candidate():
    words = ["--platform", "openvino", "--model_name", "m", "--compile", "--platform:quantize", "int8-weights"]
    command = parse_model(CommandLine.parse(words, ["--compile"]))
    found = command_of(command, None, Path("my data"), "dev")
    assert found.startswith("fmbench retrieve evaluate --compile --model_name m --platform openvino ")
    assert found.endswith(" --platform:quantize int8-weights --dataset 'my data' --split dev")
    assert command_of(command, 2048, Path("d"), "dev").endswith("--tokens_per_batch 2048 --dataset d --split dev")
    told = parse_model(CommandLine.parse([*words, "--tokens_per_batch", "auto"], ["--compile"]))
    assert (
        command_of(told, 2048, Path("d"), "dev").count("--tokens_per_batch") == 1
    )  # what raced, not what is best then
    assert command_of(told, 2048, Path("d"), "dev", 17).endswith(
        " --tokens_per_batch 2048 --dataset d --split dev --other_documents 17"
    )
    assert command_of(command, None, None, "test") is None
