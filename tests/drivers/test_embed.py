"""The driver from its command line, on real transformers."""

import gzip
import json
from pathlib import Path

import pytest

from fmbench.lines import Rep, Res, Setup, is_json

from .conftest import NO_GRADIENTS, SHAPES, SMALL, facts, of


@pytest.mark.parametrize("platform", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_a_sweep(drive, tiny: list[str], platform: str) -> None:
    code, lines, _ = drive("--platform", platform, *tiny, *SHAPES, *NO_GRADIENTS)
    assert code == 0
    assert is_json(lines[0], "LOG") and lines[0].data["format"] == 1
    results = of(Res, lines)
    assert [(r.input_size, r.batch_size) for r in results] == [(8, 1), (16, 1), (8, 3), (16, 3)]
    assert {(r.model, r.model_class) for r in results} == {("tiny", "BertModel")}
    assert len(of(Rep, lines)) == 16 and len(of("STAT", lines)) == 4 and len(of(Setup, lines)) == 1
    for result in results:
        assert result.throughput == pytest.approx(result.batch_size / result.latency * 1e3, rel=0.05)
        assert result.start < result.end
    known = facts(lines)
    assert (known["platform"], known["weights"], known["gradients"], known["dtype"]) == (
        platform,
        "random",
        False,
        "float32",
    )


@pytest.mark.parametrize("platform", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_real_weights(drive, minilm: Path, platform: str) -> None:
    shape = ["--input_sizes", "32", "--batch_sizes", "2", "--reps", "3"]
    model = ["--model_class", "BertModel", "--model_root", minilm.parent, "--model_name", "model"]
    code, lines, _ = drive("--platform", platform, *model, *shape, *NO_GRADIENTS, "--eval")
    assert code == 0
    known = facts(lines)
    assert (known["weights"], known["parameters"], known["maximum_length"]) == ("pretrained", 22_713_216, 512)
    assert known["attention"] in ("sdpa", "eager", "flash_attention_2")


def test_unpadded_attention_beside_torchs_own(drive, tiny: list[str]) -> None:
    """A batch of the driver has no padding; each of its rows is a text."""
    unpadded = ["--vs", "--model:attn_implementation unpadded"]
    code, lines, _ = drive("--platform", "cpu", *tiny, *SMALL, *NO_GRADIENTS, *unpadded)
    assert code == 0
    assert len(of(Res, lines)) == 2 and facts(lines)["attention"] == "unpadded"
    ours, theirs = (line.data["flops"] for line in of("CASE", lines))
    assert ours == theirs > 0


@pytest.mark.slow
def test_random_granite_at_its_real_size(drive) -> None:
    granite = ["--model_class", "RobertaModel", "--model_name", "ibm-granite/granite-embedding-125m-english"]
    shape = ["--input_sizes", "512", "--batch_sizes", "1", "--reps", "2"]
    code, lines, _ = drive("--platform", "cpu", *granite, "--weights", "random", *shape, *NO_GRADIENTS)
    assert code == 0
    known = facts(lines)
    assert (known["parameters"], known["dtype"], known["weights"]) == (124_645_632, "bfloat16", "random")
    assert of(Res, lines)[0].latency > 1


def test_model_options_reach_random_weights(drive, tiny: list[str]) -> None:
    options = ["--model:num_hidden_layers@", "1", "--model:dtype@", "torch.bfloat16"]
    options += ["--model:attn_implementation", "eager", "--model:add_pooling_layer@", "False"]
    code, lines, _ = drive("--platform", "cpu", *tiny, *SHAPES, *options)
    assert code == 0
    known = facts(lines)
    assert (known["dtype"], known["attention"]) == ("bfloat16", "eager")
    embeddings, one_layer = 200 * 32 + 64 * 32 + 2 * 32 + 64, 4 * (32 * 32 + 32) + 2 * 32 * 64 + 96 + 128
    assert known["parameters"] == embeddings + one_layer


def test_model_options_reach_pretrained_weights(drive, minilm: Path) -> None:
    model = ["--model_class", "AutoModel", "--model_name", minilm, "--model:dtype", "bfloat16"]
    code, lines, _ = drive("--platform", "cpu", *model, "--input_sizes", "8", "--batch_sizes", "1", "--reps", "1")
    assert code == 0
    assert facts(lines)["dtype"] == "bfloat16"
    assert len(of(Rep, lines)) == 1


def test_seeded_weights_and_inputs(drive, tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from fmbench.backends.cpu import CpuBackend

    seen: list = []
    place = CpuBackend.place

    def spy(self, batch):
        seen.append((float(next(iter(self.model.parameters())).detach().sum()), batch["input_ids"].tolist()))
        return place(self, batch)

    monkeypatch.setattr(CpuBackend, "place", spy)
    shape = ["--input_sizes", "8", "--batch_sizes", "2", "--reps", "3"]
    for seed in (1, 1, 2):
        assert drive("--platform", "cpu", *tiny, *shape, "--seed", seed)[0] == 0
    first, again, other = seen[:4], seen[4:8], seen[8:]
    assert first == again
    assert [weights for weights, _ in first] != [weights for weights, _ in other]
    assert first[1][1] != first[2][1] != first[3][1]
    assert all(token not in (0, 2) for _, ids in seen for row in ids for token in row)  # pad and cls of the tiny model


def test_gradients_are_as_the_user_set_them(drive, tiny: list[str]) -> None:
    shape = ["--input_sizes", "8", "--batch_sizes", "1", "--reps", "1"]
    _, lines, said = drive("--platform", "cpu", *tiny, *shape)
    assert facts(lines)["gradients"] is True
    assert "note: gradients are on" in said
    _, lines, said = drive("--platform", "cpu", *tiny, *shape, *NO_GRADIENTS)
    assert facts(lines)["gradients"] is False
    assert "gradients are on" not in said


def test_threads(drive, tiny: list[str]) -> None:
    shape = ["--input_sizes", "8", "--batch_sizes", "1", "--reps", "1"]
    assert facts(drive("--platform", "cpu", *tiny, *shape, "--threads", 1)[1])["threads"] == 1


@pytest.mark.slow
def test_compile_with_a_real_backend(drive, tiny: list[str]) -> None:
    shape = ["--input_sizes", "8", "--batch_sizes", "2", "--reps", "3"]
    code, lines, said = drive("--platform", "cpu", *tiny, *shape, *NO_GRADIENTS, "--compile:backend", "inductor",
                              "--compile:options:freezing@", "True")  # fmt: skip
    assert code == 0
    assert "note: a --compile: option was given, so --compile is on" in said
    assert facts(lines)["compile"] is True and len(of(Rep, lines)) == 3
    (compiled,) = (line.data for line in of("PHASE", lines) if line.data["name"] == "compile")
    assert compiled["inside"] == "repetition 1" and of("STAT", lines)[0].data["recompiled"] == 0


def test_a_shape_that_runs_out_of_memory_is_a_row(drive, tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    huge = 2**40  # bytes beyond any machine: the allocator really refuses
    from fmbench.measure import TokenGenerator

    batch = TokenGenerator.batch

    def spy(self):
        import torch

        if self._shape == (3, 8):
            torch.empty(huge, dtype=torch.int64)
        return batch(self)

    monkeypatch.setattr(TokenGenerator, "batch", spy)
    code, lines, said = drive("--platform", "cpu", *tiny, *SHAPES)
    assert code == 1
    assert [(r.input_size, r.batch_size) for r in of(Res, lines)] == [(8, 1), (16, 1), (16, 3)]
    (failure,) = of("ERR", lines)
    assert (failure.data["input_size"], failure.data["batch_size"]) == (8, 3)
    assert failure.data["out_of_memory"] is True
    assert "warning: 8 / 3 failed" in said


def test_a_profile_is_written_beside_the_timed_repetitions(drive, tiny: list[str], tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    code, lines, _ = drive("--platform", "cpu", *tiny, *SHAPES, "--profile", trace)
    assert code == 0
    assert len(of(Rep, lines)) == 16
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["trace-16x1.json", "trace-16x3.json", "trace-8x1.json", "trace-8x3.json"]
    events = json.loads((tmp_path / "trace-16x3.json").read_text())["traceEvents"]
    assert any("addmm" in str(event.get("name")) for event in events)


@pytest.mark.parametrize("disclose", [False, True])
def test_a_profile_says_whose_machine_it_is_of_where_that_may_be_said(drive, tiny: list[str], tmp_path, disclose):
    trace = tmp_path / "trace.json.gz"
    words = ["--input_sizes", "8", "--batch_sizes", "1", "--reps", "1", *["--disclose"] * disclose]
    assert drive("--platform", "cpu", *tiny, *words, "--profile", trace)[0] == 0
    said = json.loads(gzip.decompress(trace.read_bytes()))
    assert (said.get("host_name") is not None) == (str(tmp_path) in json.dumps(said)) == disclose
    assert said["traceName"] == (str(trace) if disclose else trace.name)


def test_stdout_is_the_log_only(script, tiny: list[str]) -> None:
    done = script("driver", "--platform", "cpu", *tiny, *SHAPES)
    assert done.returncode == 0
    rule = "-" * 80
    for line in done.stdout.splitlines():
        assert line.startswith(("FMWORK ", "RUN ")) or line in ("", rule, "ARGS", "RUNTIME", "MODEL")
    assert [line for line in done.stdout.splitlines() if line.isupper() and " " not in line] == [
        "ARGS",
        "RUNTIME",
        "MODEL",
    ]


def test_weights_that_the_checkpoint_lacks_are_counted_and_said(drive, minilm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deeper"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).symlink_to(minilm / name)
    argv = ["--platform", "cpu", "--model_class", "BertModel", *SMALL]
    assert facts(drive(*argv, "--model_name", folder)[1])["weights_missing"] == 0
    code, lines, said = drive(*argv, "--model_name", folder, "--model:num_hidden_layers@", "7")
    assert code == 0
    assert facts(lines)["weights_missing"] == 16
    assert "warning: 16 weights are not in the checkpoint" in said


def test_damaged_weights_are_one_line(drive, minilm: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((minilm / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((minilm / "model.safetensors").read_bytes()[:1000])
    code, _, said = drive("--platform", "cpu", "--model_class", "BertModel", "--model_name", tmp_path, *SMALL)
    assert code == 2
    assert f"driver: error: {tmp_path} cannot be loaded: " in said and "Traceback" not in said
