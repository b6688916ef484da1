"""Captures by a torch that is older than fmbench's own, which here is this one: `portable.py` and who asks it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from fmbench import cli, facts, lines
from fmbench.capture.manifest import read_manifest
from fmbench.drivers.fidelity import older, portable
from fmbench.drivers.fidelity.environments import Environment
from tests.tiny_model import write_collection, write_model


@pytest.fixture
def here(tmp_path, monkeypatch, restore_torch):
    """A tiny model and a collection in the current folder; every environment is this one, torch==2.0.1 included."""
    write_model(tmp_path / "tiny")
    write_collection(tmp_path / "wings")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Environment, "make", lambda environment: None)
    monkeypatch.setattr(Environment, "python", Path(sys.executable))
    return tmp_path


@pytest.fixture
def inside(here, monkeypatch):
    """The same, and `portable.py` runs in this process."""

    def call(environment, words):
        try:
            portable.main(json.loads(Path(words[2]).read_text()), Path(words[3]))
        except OSError as error:
            return subprocess.CompletedProcess(words, 1, "", f"OSError: {error}\n")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(Environment, "call", call)
    monkeypatch.setattr(Environment, "versions", lambda environment, names: facts.versions(tuple(names)))
    return here


def matrix(*words, versions=("torch==2.0.1", "torch==2.1.2")):
    ours = [word for version in versions for word in ("--with", version)]
    model = {"--platform": "cpu", "--model_name": "tiny", "--dataset": "wings", "--threads": "1", "--out": "out"}
    ours += [word for name, value in model.items() if name not in words for word in (name, value)]
    return cli.main(["fidelity", "matrix", *ours, *words])


def said(out):
    return [line.data for text in out.splitlines() if lines.is_json(line := lines.parse_line(text), "FID")]


RECIPE = [
    "--query_prompt", "wing ", "--passage_max_len", "9", "--pooling", "cls,mean,max,last", "--normalize", "yes",
    "--tokens_per_batch", "100", "--seed", "3",
]  # fmt: skip


@pytest.mark.parametrize("words", [[], RECIPE])
def test_what_it_captures_is_what_fmbench_does_bit_for_bit(words, inside, capfd):
    assert matrix(*words) == 0, capfd.readouterr().err
    assert {row["verdict"] for row in said(capfd.readouterr().out) if row["kind"] == "comparison"} >= {"equal"}
    model = ["--platform", "cpu", "--model_name", "tiny", "--dataset", "wings", "--threads", "1", "--out", "own"]
    probes = ["--probes", ",".join(older.PROBES), "--model:attn_implementation", "eager"]
    assert cli.main(["fidelity", "capture", *model, *probes, *words]) == 0
    own, found = (read_manifest(inside / folder) for folder in ("own", "out/torch-2.0.1"))
    assert [(item.label, item.dtype, item.shape) for item in found.artifacts] == [
        (item.label, item.dtype, item.shape) for item in own.artifacts
    ]
    pairs = zip(own.artifacts, found.artifacts, strict=True)
    assert [item.label for item, other in pairs if item.sha256 != other.sha256] == []
    same = ("texts", "model", "text_count", "seed", "probes", "queries", "qrels", "complete", "version")
    assert [getattr(own, name) for name in same] == [getattr(found, name) for name in same]
    differ = {name for name in own.fingerprint if own.fingerprint[name] != found.fingerprint.get(name)}
    assert differ <= {"torch_settings"} and found.fingerprint["capture"] == "portable"


@pytest.mark.slow
def test_both_kinds_run_in_their_environments_and_are_compared_by_what_both_have(here, capfd):
    words, versions = ("--probes", "tokens,exact,index"), ("torch==2.0.1", "torch")
    assert matrix(*words, versions=versions) == 0, capfd.readouterr().err
    done = capfd.readouterr()
    assert "torch==2.0.1 is older than fmbench's own torch: every version computes with" in done.err
    rows = [row for row in said(done.out) if row["kind"] in ("tensor", "ranking")]
    assert {row["probe"] for row in rows} == {"tokens", "exact"} and {row["verdict"] for row in rows} == {"equal"}
    assert matrix(*words, versions=versions) == 0
    assert capfd.readouterr().err.count("by the same command, and is kept") == 2


def test_the_file_needs_no_fmbench_and_no_new_python():
    tree = ast.parse(Path(portable.__file__).read_text(), feature_version=(3, 8))
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = [name.name if isinstance(node, ast.Import) else node.module for node in found for name in node.names]
    assert all(getattr(node, "level", 0) == 0 for node in found)
    theirs = {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names}
    assert theirs == {"numpy", "safetensors", "tokenizers", "torch", "transformers"}
    assert {*portable.PROBES} == {*older.PROBES}


def test_merges_are_written_as_earlier_versions_of_tokenizers_read_them():
    rules = Tokenizer(models.BPE())
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.train_from_iterator(["flow over a wing"], trainers.BpeTrainer(vocab_size=20))
    written = older.readable(rules.to_str())
    merges = json.loads(written)["model"]["merges"]
    assert merges and all(isinstance(merge, str) for merge in merges)
    assert Tokenizer.from_str(written).encode("a wing flow").ids == rules.encode("a wing flow").ids


def test_a_probe_that_fails_is_a_row_and_leaves_those_that_ended_until_the_next_run(inside, capfd, monkeypatch):
    def full(model, options):
        raise OSError("no space left")

    words = ("--probes", "tokens,layer_norm,norm")
    with monkeypatch.context() as patched:
        patched.setitem(portable.PROBES, "norm", full)
        assert matrix(*words) == 1
    assert [row["failure"] for row in said(capfd.readouterr().out)] == ["cannot capture: OSError: no space left"] * 2
    left = read_manifest(inside / "out" / "torch-2.0.1")
    assert not left.complete and [*left.probes] == ["tokens", "layer_norm"]
    assert matrix(*words) == 0 and read_manifest(inside / "out" / "torch-2.0.1").complete


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--colbert", "tiny"], "--colbert: not with torch==2.0.1, which is older than fmbench's own torch (2.7)"),
        (["--probes", "modules,index"], "--probes modules,index: not with torch==2.0.1"),
        (["--compile"], "--compile: not with torch==2.0.1"),
        (["--platform", "null"], "no model runs there"),
        (["--model:dtype@", "torch.bfloat16"], "--model:dtype: not with torch==2.0.1"),
        (["--truncate_dim", "8"], "--truncate_dim: not with torch==2.0.1"),
        (["--weights", "random"], "--weights random: not with torch==2.0.1"),
    ],
)
def test_what_the_file_does_not_do_is_refused_before_an_environment_is_made(words, message, here, capfd, monkeypatch):
    monkeypatch.setattr(Environment, "make", lambda environment: pytest.fail("an environment was made"))
    assert matrix(*words) == 2
    assert message in capfd.readouterr().err


def test_an_older_torch_stands_by_itself_with_what_goes_with_it(tmp_path):
    of = lambda requirement: Environment(requirement, (), tmp_path)  # noqa: E731
    assert [of(f"torch=={version}").older for version in ("1.13.1", "2.6.0", "2.7.0", "2.10.0")] == [
        True,
        True,
        False,
        False,
    ]
    assert not of("torch>=2.0").older and not of("torchvision==0.1").older
    assert of("torch==2.0.1").wanted == ["torch==2.0.1", "numpy<2", "transformers>=4.30,<4.45", "safetensors"]
    assert of("torch==2.0.1 numpy==1.24 transformers==4.30.2").wanted[3:] == ["safetensors"]
    assert of("torch==2.8.0").wanted == ["torch==2.8.0"]
