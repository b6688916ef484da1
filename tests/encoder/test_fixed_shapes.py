"""Platforms where every shape costs a compilation: few shapes, and the same vectors."""

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmbench.backends.cpu import CpuBackend
from fmbench.backends.openvino import OpenvinoBackend
from fmbench.backends.spyre import SpyreBackend
from fmbench.encoder import Recipe
from fmbench.errors import UsageError
from tests.conftest import Run
from tests.text_models import save_bert

from .conftest import Load, text_arguments

FAKES = Path(__file__).resolve().parents[1] / "fakes"
TEXTS = ["", "a", "some words", "x y " * 40, "日本", *(f"{'b ' * (index % 23)}" for index in range(40))]
SMALL = Recipe(tokens_per_batch=128, lengths=(32, 64))
COMPILE = "--platform:frontend=torch.compile"


def test_who_wants_fixed_shapes() -> None:
    plain, dynamic = text_arguments(Path("m")), text_arguments(Path("m"), "--compile:dynamic@=True")
    static = text_arguments(Path("m"), "--compile:dynamic@=False")
    assert [CpuBackend().fixed_shapes(each) for each in (plain, dynamic, static)] == [False, False, True]
    assert [OpenvinoBackend().fixed_shapes(each) for each in (plain, dynamic, static)] == [True, False, True]
    assert [SpyreBackend().fixed_shapes(each) for each in (plain, static)] == [True, True]
    vendor = text_arguments(Path("m"), "--compile:backend=openvino")
    assert CpuBackend().fixed_shapes(vendor)
    assert (SpyreBackend.length_step, CpuBackend.length_step) == (64, 32)


class Shapes:
    """Notes the shapes that a model is given."""

    def __init__(self, encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[int, ...]] = []
        forward = encoder._compute._forward

        def spy(batch):
            self.seen.append(tuple(batch["input_ids"].shape))
            return forward(batch)

        monkeypatch.setattr(encoder._compute, "_forward", spy)


@pytest.fixture
def compiled(load: Load, tiny_text_model: Path):
    """An encoder whose graphs Dynamo compiles a shape at a time, and then runs as they are."""

    def make(recipe: Recipe = SMALL):
        return load(tiny_text_model, "--compile:dynamic@=False", "--compile:backend=eager", recipe=recipe)

    return make


@pytest.mark.slow
def test_few_shapes_and_the_same_vectors(compiled, load: Load, tiny_text_model: Path, monkeypatch) -> None:
    encoder = compiled()
    shapes = Shapes(encoder, monkeypatch)
    found = encoder.encode(TEXTS, once=True)
    assert set(shapes.seen) == {(4, 32), (2, 64)}
    np.testing.assert_allclose(found, load(tiny_text_model).encode(TEXTS), atol=1e-5)
    counted = [rows * length for rows, length in shapes.seen]
    warm = [rows * length for rows, length in set(shapes.seen)]  # each shape was computed once before it counted
    order = 2 * counted[0]  # and the first one twice, for the order of its rows
    assert encoder.timings.padded_tokens == sum(counted) - sum(warm) - order
    alone = encoder.encode(["one"])
    assert set(shapes.seen) == {(4, 32), (2, 64), (1, 32)}  # one text alone is a row of its own
    np.testing.assert_allclose(alone, load(tiny_text_model).encode(["one"]), atol=1e-5)
    assert encoder.timings.phases["compile"] > 0


@pytest.mark.slow
def test_more_shapes_than_dynamo_compiles_by_itself(compiled) -> None:
    """Beyond its limit Dynamo runs eagerly without a word, which here would be the slow path."""
    from fmbench.torch_settings import CompilationWatch

    torch._dynamo.reset()  # of shapes that another test compiled
    lengths = (*range(4, 40, 4), 64)
    assert len(lengths) > 8
    encoder = compiled(Recipe(tokens_per_batch=1, lengths=lengths))
    watch = CompilationWatch()
    watch.install()
    encoder.encode(["a " * (length - 2) for length in lengths])
    assert watch.count == len(lengths)


def test_the_lengths_by_default(compiled, load: Load, tiny_text_model: Path) -> None:
    assert compiled(Recipe())._compute._lengths == (32, 64)
    assert compiled(Recipe(query_max_length=20, passage_max_length=30))._compute._lengths == (32,)
    assert load(tiny_text_model)._compute._lengths is None


def test_lengths_that_do_not_hold_every_text(compiled) -> None:
    with pytest.raises(UsageError, match=r"--lengths 32: texts may have 64 tokens; add that length"):
        compiled(Recipe(lengths=(32,)))


@pytest.mark.slow
def test_a_length_is_enough_for_a_platform_of_one_shape(compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuBackend, "single_shape", True)
    assert compiled(Recipe())._compute._lengths == (64,)
    with pytest.raises(UsageError, match="--lengths 32,64: --platform cpu runs one shape a process; give one length"):
        compiled()
    encoder = compiled(Recipe(tokens_per_batch=128))
    shapes = Shapes(encoder, monkeypatch)
    encoder.encode(["one"])
    encoder.encode(["one", "two", "three"])
    assert set(shapes.seen) == {(2, 64)}


@pytest.mark.slow
def test_openvino(load: Load, tiny_text_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")
    precision = "--compile:options:config@={'INFERENCE_PRECISION_HINT': 'f32'}"
    encoder = load(tiny_text_model, precision, COMPILE, platform="openvino", recipe=SMALL)
    shapes = Shapes(encoder, monkeypatch)
    found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found, load(tiny_text_model).encode(TEXTS), atol=1e-4)
    assert set(shapes.seen) == {(4, 32), (2, 64)}
    assert encoder._compute._platform.model_facts()["precision"] == "float32"
    assert (encoder.key("query")["backend"], encoder.key("query")["precision"]) == ("openvino", "float32")
    # A second model of the same architecture in this process has vectors of its own.
    other = save_bert(tmp_path / "other", seed=5)
    second = load(other, precision, COMPILE, platform="openvino", recipe=SMALL)
    np.testing.assert_allclose(second.encode(TEXTS), load(other).encode(TEXTS), atol=1e-4)
    np.testing.assert_allclose(encoder.encode(TEXTS), found, atol=1e-6)


@pytest.mark.parametrize("mode", ["cls", "last", "mean", "max"])
def test_a_platform_may_write_over_what_it_returned(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Batches without padding too: no vector may be a view of hidden states."""
    recipe = Recipe(tokens_per_batch=20, pooling=(mode,))
    texts = ["abcdefgh", "abcdefgh", "bcdefgha", "bcdefgha", "ijklmnop", "ijklmnop"]
    expected = load(tiny_text_model, recipe=recipe).encode(texts)
    encoder = load(tiny_text_model, recipe=recipe)
    forward, memory = encoder._compute._forward, {}

    def call(batch):
        found = forward(batch).last_hidden_state
        return SimpleNamespace(last_hidden_state=memory.setdefault(found.shape, found.clone()).copy_(found))

    monkeypatch.setattr(encoder._compute, "_forward", call)
    np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-6)


@pytest.mark.cuda
@pytest.mark.parametrize("words", [(), ("--compile:mode=reduce-overhead",)], ids=["eager", "graphs"])
def test_cuda(load: Load, tiny_text_model: Path, words: tuple[str, ...]) -> None:
    """A CUDA graph writes over what it returned before: no vector may be left there, padded or not."""
    recipe = dataclasses.replace(SMALL, pooling=("cls", "mean", "last"))
    encoder = load(tiny_text_model, *words, platform="cuda", recipe=recipe)
    texts = [*TEXTS, *(f"{letter} " * 30 for letter in "abcdefghij")]
    expected = load(tiny_text_model, recipe=recipe).encode(texts)
    for _ in range(2):
        np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-3)
    assert {"compile", "record"} <= encoder.timings.phases.keys() or not words


@pytest.mark.slow
def test_vectors_of_the_two_frontends_have_different_keys(load: Load, tiny_text_model: Path) -> None:
    pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")
    precision = "--compile:options:config@={'INFERENCE_PRECISION_HINT': 'f32'}"
    plain = load(tiny_text_model, precision, COMPILE, platform="openvino")
    native = load(tiny_text_model, precision, platform="openvino")
    assert native._compute._lengths is None
    np.testing.assert_allclose(native.encode(TEXTS), load(tiny_text_model).encode(TEXTS), atol=1e-4)
    assert set(native.timings.phases) - {"convert"} == {"open", "check", "warm_up", "look_again"}
    assert not native._compute._shape_costs and plain._compute._shape_costs  # a converted graph is of every shape
    ours, theirs = native.key("query"), plain.key("query")
    assert ours["platform"] == {"frontend": "convert_model"}
    assert {name for name in ours if ours[name] != theirs[name]} == {"options", "platform"}
    assert ours["precision"] == "float32"


SPYRE = """
import json, os, sys
import numpy as np
from pathlib import Path
from tests.encoder.conftest import text_arguments
from fmbench.encoder import Encoder, Recipe

folder, texts = Path(os.environ["FOLDER"]), json.loads(os.environ["TEXTS"])
options = json.loads(os.environ["OPTIONS"])
recipe = Recipe(tokens_per_batch=256, query_max_length=20)
encoder = Encoder.load(text_arguments(folder, *options, platform="spyre"), recipe)
passages, queries = encoder.encode(texts), encoder.encode(texts[:3], "query")
plain = Encoder.load(text_arguments(folder, "--model:attn_implementation=eager"), recipe)
np.testing.assert_allclose(passages, plain.encode(texts), atol=1e-5)
np.testing.assert_allclose(queries, plain.encode(texts[:3], "query"), atol=1e-5)
"""


@pytest.fixture
def on_spyre(forked: Run, tiny_text_model: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PYTHONPATH": f"{FAKES}{os.pathsep}{FAKES.parents[1]}", "FOLDER": str(tiny_text_model),
            "TEXTS": json.dumps(TEXTS), "OMP_NUM_THREADS": "1",
            "OPTIONS": json.dumps(["--model:attn_implementation=eager", *options]),
        }  # fmt: skip
        return forked("code", SPYRE + textwrap.dedent(code), env=environment)

    return run


@pytest.mark.slow
def test_spyre_through_sendnn_compiles_one_shape(on_spyre) -> None:
    """The fake refuses gradients, inference mode and dynamic shapes, as tests/fakes/README.md says."""
    code = """
    import torch_sendnn
    assert {tuple(shapes[0]) for shapes in torch_sendnn.compilations} == {(4, 64)}, torch_sendnn.compilations
    assert torch_sendnn.events[0] == "warmup" and torch_sendnn.events.count("compile") == 1
    """
    done = on_spyre(code, "--compile:backend=sendnn", "--platform:stack=sendnn")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    tuple(int(part) for part in importlib.metadata.version("torch").split(".")[:2]) < (2, 10),
    reason="the fake torch_spyre needs torch 2.10",
)
def test_spyre_through_its_own_device_brings_the_result_back(on_spyre) -> None:
    done = on_spyre("", "--platform:stack=torch_spyre")
    assert done.returncode == 0, done.stderr
