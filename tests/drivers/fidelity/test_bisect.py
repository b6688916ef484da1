"""`fmbench fidelity bisect` on a tiny model, in this process, and on a real one."""

import contextlib

import pytest
from torch.nn import functional

from fmbench import cli, lines
from fmbench.backends.cpu import CpuBackend
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity.arguments import CaptureArguments
from fmbench.drivers.fidelity.bisect import Substitution
from fmbench.drivers.fidelity.layers import leaves
from fmbench.encoder import Encoder, EncoderPlan, Recipe
from tests.torch_state import torch_restored

from .conftest import said


@pytest.fixture(scope="module")
def encoder(folder):
    """The tiny model, as B has it, loaded once."""
    arguments = CaptureArguments(
        platform="cpu", model_class="AutoModel", model_name=str(folder / "tiny"), threads=1, recipe=Recipe()
    )
    with torch_restored():
        yield Encoder(EncoderPlan.of(arguments, arguments.recipe))


@contextlib.contextmanager
def planted(module, change):
    """Make a module compute something else."""
    original = module.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "forward", lambda *words, **named: change(original, *words, **named))
        yield


def rounded(original, *words, **named):
    """What a bfloat16 kernel gives."""
    return original(*words, **named).bfloat16().float()


def bisected(captured, encoder):
    substitution = Substitution(ArtifactReader(captured("A")), encoder.module)
    return substitution.run(encoder.platform.place(substitution.inputs()))


def test_bisecting_the_same_build_finds_nothing(captured, fidelity):
    code, out, err = fidelity("bisect", captured("A"))
    assert code == 0 and "calls of modules give what they gave in A, bit for bit." in err
    assert [row["verdict"] for row in said(out, "comparison")] == ["incomplete", "equal"] and not said(out, "call")


TEXTS = ("--dataset", "wings")


@pytest.mark.parametrize(
    ("command", "places", "more"), [("bisect", "a", ()), ("bisect", "a", ("--index", *TEXTS)), ("swap", "ab", TEXTS)]
)
def test_folders_stand_in_the_log_as_what_they_are(captured, fidelity, folder, monkeypatch, command, places, more):
    capture = captured("A")
    monkeypatch.chdir(folder)
    code, out, err = fidelity(command, *[capture] * len(places), *more)
    assert code == 0, err
    found = [line for row in out.splitlines() if isinstance(line := lines.parse_line(row), lines.Arg)]
    assert [one.key for one in found if one.value == str(capture)] == [*places]
    assert {one.key for one in found if one.value == "True"} == ({"index"} if "--index" in more else set())


def test_bisecting_names_every_leaf_module_that_was_changed(captured, encoder):
    every = leaves(encoder.module)
    artifacts = ArtifactReader(captured("A")).manifest.artifacts
    called = {item.name.partition("/")[0] for item in artifacts if item.probe == "modules" and "/" in item.name}
    never = [name for name in every if name not in called]
    assert len(called) == 29 and all(name.endswith("attention.self.dropout") for name in never)  # sdpa does it itself
    for name, module in every.items():
        if name in never:
            continue
        with planted(module, rounded):
            found = bisected(captured, encoder)
        assert [(item.call, item.where) for item in found] == [(name, "module")], name


def test_bisecting_names_a_layer_norm_epsilon_a_gelu_and_a_matmul(captured, encoder):
    every = leaves(encoder.module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(every["encoder.layer.1.attention.output.LayerNorm"], "eps", 1e-5)
        assert [item.call for item in bisected(captured, encoder)] == ["encoder.layer.1.attention.output.LayerNorm"]
    changes = {
        "encoder.layer.0.intermediate.intermediate_act_fn": lambda original, x: functional.gelu(x, approximate="tanh"),
        "encoder.layer.1.output.dense": lambda original, x: functional.linear(
            x.bfloat16(), every["encoder.layer.1.output.dense"].weight.bfloat16()
        ).float() + every["encoder.layer.1.output.dense"].bias,
    }  # fmt: skip
    for name, change in changes.items():
        with planted(every[name], change):
            (found,) = bisected(captured, encoder)
        assert (found.call, found.where, found.verdict) == (name, "module", "different")


def test_bisecting_tells_code_between_modules_from_modules(captured, encoder, monkeypatch):
    original = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *words, **named: original(*words, **named) * 1.001
    )
    found = bisected(captured, encoder)
    assert [(item.call, item.where) for item in found] == [
        (f"encoder.layer.{layer}.attention.output.dense", "before") for layer in (0, 1)
    ]


def test_bisecting_another_model_names_the_calls_that_are_missing(captured, folder, fidelity):
    code, out, err = fidelity("bisect", captured("A"), "--model:num_hidden_layers@", "1")
    first = "encoder.layer.1.attention.self.query"
    whole = said(out, "comparison")[-1]
    assert code == 0 and whole["first"] is None and (whole["alone"], whole["alone_where"]) == (first, "missing")
    found = said(out, "call")
    assert "encoder.layer.1.output.dense" in {item["artifact"] for item in found if item["where"] == "missing"}
    assert found[0]["artifact"] == first
    assert f"the first of A that is not made here is {first}." in err


def test_bisecting_a_larger_model_names_the_first_call_that_is_not_in_a(captured, folder, fidelity):
    words = ("--model:num_hidden_layers@", "1")
    small = captured("small", *words, probes="modules")
    err = fidelity("bisect", small)[2]
    assert "the first that A does not make is encoder.layer.1.attention.self.query." in err
    assert "differs on the same input" not in err
    assert fidelity("bisect", small, *words)[2].count("bit for bit") == 1


def test_a_compiled_model_cannot_be_looked_into_and_the_line_says_what_to_do(captured, folder, fidelity, monkeypatch):
    code, _, err = fidelity("bisect", captured("A"), "--compile")
    assert code == 2 and "the model runs compiled, and its layers cannot be seen; run without --compile" in err
    monkeypatch.setattr(CpuBackend, "always_compiles", True)
    why = "--platform cpu compiles, and the model's layers cannot be seen"
    code, _, err = fidelity("bisect", captured("A"))
    assert code == 2 and f"{why}; take another platform" in err
    words = ("--dataset", folder / "wings", "--out", folder / "none")
    code, _, err = fidelity("capture", *words, "--probes", "hidden,modules,tokens")
    assert code == 2 and f"--probes hidden,modules: {why}; leave them out, or take another platform" in err


def test_bisecting_needs_the_probe(captured, fidelity):
    code, _, err = fidelity("bisect", captured("alone", probes="pooled"))
    assert code == 2 and "was captured without the probe modules" in err


@pytest.mark.slow
def test_bisecting_names_every_leaf_module_of_minilm(minilm, tmp_path, capfd, restore_torch):
    texts = tmp_path / "texts.txt"
    texts.write_text("The flow over a wing.\nA shock wave.\n")
    model = ["--platform", "cpu", "--threads", "1", "--model_name", str(minilm)]
    words = ["--texts", str(texts), "--probes", "modules", "--out", str(tmp_path / "A")]
    assert cli.main(["fidelity", "capture", *words, *model]) == 0
    arguments = CaptureArguments(
        platform="cpu", model_class="AutoModel", model_name=str(minilm), threads=1, recipe=Recipe()
    )
    encoder = Encoder(EncoderPlan.of(arguments, arguments.recipe))
    reader = ArtifactReader(tmp_path / "A")
    called = {item.name.partition("/")[0] for item in reader.manifest.artifacts if "/" in item.name}
    every = {name: module for name, module in leaves(encoder.module).items() if name in called}
    assert len(every) == 6 * 11 + 5 + 2  # layers, embeddings, pooler
    for name, module in every.items():
        with planted(module, rounded):
            substitution = Substitution(reader, encoder.module)
            found = substitution.run(encoder.platform.place(substitution.inputs()))
        assert [(item.call, item.where) for item in found] == [(name, "module")], name
