import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

pytest.importorskip("onnxruntime", reason="pip install 'fmbench[onnxruntime]'")
pytest.importorskip("onnxscript", reason="pip install 'fmbench[onnxruntime]'")

from fmbench.backend import Forward
from fmbench.backends import instructions, onnxruntime_convert
from fmbench.backends import onnxruntime as room
from fmbench.backends.onnxruntime import OnnxruntimeBackend
from fmbench.backends.onnxruntime_convert import OnnxConverter
from fmbench.drivers.embed import main
from fmbench.encoder import Encoder
from fmbench.errors import PlatformError, UsageError
from fmbench.lines import Res, is_json, parse_line
from fmbench.listing import list_backends
from fmbench.options import parse_arguments
from fmbench.quantisation import Quantisation

from ..encoder.conftest import text_arguments
from ..families import tiny_config

SIZES = ["--input_sizes", "16", "--batch_sizes", "2", "--reps", "4"]
ARGV = ["--platform", "onnxruntime", "--model_class", "BertModel", "--model_name", "m", *SIZES]
CATALOGUED = "Alibaba-NLP/gte-modernbert-base"  # in float16
TEXTS = ["", "a", "some words", "x y " * 20, *(f"{'b ' * (index % 23)}" for index in range(20))]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restore_torch")]  # most convert a model


@pytest.fixture(scope="module")
def small():
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    torch.manual_seed(0)
    return transformers.BertModel(config).eval()


@pytest.fixture(scope="module")
def published(small, tmp_path_factory) -> Path:
    """A file as others publish it: with token types."""
    folder = tmp_path_factory.mktemp("published")
    module = onnxruntime_convert.ByPosition(small, ("input_ids", "attention_mask", "token_type_ids"))
    batch = tokens(2, 8)
    given = {**batch, "token_type_ids": torch.zeros_like(batch["input_ids"])}
    with torch.no_grad():
        OnnxConverter(room.CPU, 0, None, None, None).export(module, given, folder)
    return folder / "model.onnx"


def tokens(rows: int, length: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 200, (rows, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def opened(model, *options: str) -> tuple[OnnxruntimeBackend, Forward]:
    arguments = parse_arguments([*ARGV, *options])
    platform = OnnxruntimeBackend()
    platform.check(arguments)
    platform.setup(arguments)
    return platform, platform.prepare(model, arguments.evaluated())


def test_a_graph_agrees_with_eager_for_every_shape(small, recwarn, capfd) -> None:
    platform, forward = opened(small)
    assert [phase.name for phase in platform.warm_up(forward, tokens(2, 16))][-2:] == ["open", "check"]
    assert platform.warm_up(forward, tokens(2, 16)) == []
    kept = []
    for shape in ((2, 16), (1, 1), (5, 40), (2, 8)):
        batch = tokens(*shape)
        batch["attention_mask"][-1, shape[1] // 2 + 1 :] = 0
        found = forward(batch)
        with torch.no_grad():
            expected = small(**batch).last_hidden_state
        assert found[0] is found.last_hidden_state
        kept.append((found[0], expected))
    assert all(torch.allclose(found, expected, atol=1e-4) for found, expected in kept)  # no call writes over another
    facts = platform.model_facts()
    assert facts["precision"] == "float32" and facts["products"] == {"float32": 7}  # six by weights, one attention
    assert set(facts["onnxruntime_nodes"]) == {room.CPU} and facts["least_cosine"] > 0.9999
    assert not recwarn.list and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "lines",
    [
        "from fmbench.backends.onnxruntime import OnnxruntimeBackend as B; B.choices()",
        onnxruntime_convert.PROGRAM.partition("\nMODEL")[0],
    ],
)
def test_nothing_is_told_to_the_maker_of_the_library(lines: str, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = lines + "\nimport sys; assert 'onnxruntime' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**inherited, "XDG_CACHE_HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_a_graph_has_the_threads_of_torch(small, threads: int) -> None:
    torch.set_num_threads(threads)
    platform, forward = opened(small)
    forward(tokens(2, 16))
    assert platform.model_facts()["onnxruntime_threads"] == threads


def test_8_bits_are_counted_where_they_are_multiplied(small) -> None:
    platform, forward = opened(small, "--platform:quantize", "int8")
    batch = tokens(4, 16)
    found = forward(batch).last_hidden_state
    with torch.no_grad():
        expected = small(**batch).last_hidden_state
    assert not torch.allclose(found, expected, atol=1e-4)
    assert torch.cosine_similarity(found, expected, dim=-1).min() > 0.9
    facts = platform.model_facts()
    assert (facts["precision"], facts["products"]) == ("int8", {"int8": 6, "float32": 1})
    assert platform.computes_in("float32") == "int8" and platform.facts()["quantize"] == "int8"


def test_a_cpu_without_the_instructions_gets_7_bits_and_a_warning(small, monkeypatch, capsys) -> None:
    monkeypatch.setattr(instructions, "cpuinfo", lambda name: "avx2" if name == "flags" else None)
    platform, forward = opened(small, "--platform:quantize", "int8")
    assert "--platform:quantize: this CPU multiplies no 8-bit numbers" in capsys.readouterr().err
    assert platform.facts()["bits"] == 7
    forward(tokens(2, 16))
    assert platform.model_facts()["precision"] == "int8"


def test_a_published_file_runs_as_it_is(small, published: Path) -> None:
    platform, forward = opened(small, "--platform:model", str(published))
    batch = tokens(3, 9)
    assert [phase.name for phase in platform.warm_up(forward, batch)] == ["open", "check"]
    with torch.no_grad():
        assert torch.allclose(forward(batch).last_hidden_state, small(**batch).last_hidden_state, atol=1e-4)
    digest = platform.facts()["onnx_digest"]
    (published.parent / "model.onnx_data").write_text("weights beside it")
    assert opened(small, "--platform:model", str(published))[0].identity()["onnx_digest"] != digest
    (published.parent / "model.onnx_data").unlink()


def test_a_float_file_of_nearly_the_same_weights_is_refused(small, published: Path) -> None:
    other = copy.deepcopy(small)
    torch.manual_seed(2)
    with torch.no_grad():
        for weights in other.encoder.parameters():
            weights.add_(torch.randn_like(weights) * 0.05)
    _, forward = opened(other, "--platform:model", str(published))
    with pytest.raises(PlatformError, match=r"model.onnx: is of other weights .*\(least cosine 0\.9\d+ .* 0.99 is"):
        forward(tokens(2, 16))


def test_a_file_in_8_bits_may_differ_as_rounding_does(small, published: Path, tmp_path: Path) -> None:
    OnnxConverter(room.CPU, 0, None, None, Quantisation("int8", "onnxruntime")).quantise(published.parent, tmp_path, [])
    platform, forward = opened(small, "--platform:model", str(tmp_path / "model.onnx"))
    forward(tokens(3, 16))
    assert platform._converted.graphs.popitem()[1].rounded and platform.model_facts()  # held to 0.8


def test_a_file_of_another_model_is_refused(published: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    torch.manual_seed(1)
    _, forward = opened(transformers.BertModel(config).eval(), "--platform:model", str(published))
    with pytest.raises(PlatformError, match=r"weights than the model's folder \(least cosine -?0\.\d+ .* 0.99 is"):
        forward(tokens(2, 16))


class Vectors(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels * 2.0


def test_a_file_that_takes_no_texts_is_one_line(small, tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    torch.onnx.export(Vectors(), (torch.ones(2, 2),), dynamo=True, input_names=["pixels"], verbose=False).save(file)
    with pytest.raises(UsageError, match="other.onnx: its inputs are pixels; input_ids, attention_mask"):
        opened(small, "--platform:model", str(file))
    file.write_text("no graph")
    with pytest.raises(UsageError, match="--platform:model .*other.onnx: .*INVALID_PROTOBUF"):
        opened(small, "--platform:model", str(file))


def test_a_damaged_file_is_converted_again_without_a_word_of_the_library(small, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    batch = tokens(2, 16)
    opened(small)[1](batch)
    (file,) = tmp_path.glob("fmbench/*/model.onnx")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with torch.no_grad():
        assert torch.allclose(opened(small)[1](batch).last_hidden_state, small(**batch).last_hidden_state, atol=1e-4)
    assert capfd.readouterr().err.count("\n") == 1 and file.stat().st_size == len(whole)


def test_bound_tensors_give_the_same(small, published: Path) -> None:
    """As on a GPU, whose memory torch and the graph share; here both are on the host."""
    graph = OnnxConverter(room.CPU, 0, torch.device("cpu"), published, None).open(Path())
    batch = tokens(3, 9)
    first, second = graph(batch), graph(tokens(3, 9))
    with torch.no_grad():
        assert torch.allclose(first, small(**batch).last_hidden_state, atol=1e-4)
    assert not torch.equal(first, second)


def test_what_runs_on_the_cpu_instead_is_said(small, monkeypatch, capsys) -> None:
    monkeypatch.setattr(OnnxruntimeBackend, "choices", lambda *_: [room.CPU, "CUDAExecutionProvider"])
    platform, forward = opened(small)
    monkeypatch.setattr(platform, "_provider", "CUDAExecutionProvider")
    platform.warm_up(forward, tokens(2, 16))
    nodes = platform.model_facts()["onnxruntime_nodes"][room.CPU]
    assert f"CUDAExecutionProvider: {nodes} of {nodes} nodes run on the CPU instead" in capsys.readouterr().err
    _, absent = opened(small, "--platform:provider", "CUDAExecutionProvider")
    with pytest.raises(PlatformError, match="CUDAExecutionProvider: did not start"):
        absent(tokens(2, 16))


@torch.library.custom_op("fmbench_test::hardest", mutates_args=())
def hardest(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.clone()


@hardest.register_fake
def _(numbers: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(numbers)


class Hard(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(200, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return hardest(self.table(input_ids))


@pytest.mark.parametrize("model_type", ["modernbert", "qwen3"])
def test_positions_that_are_rotations_are_those_of_every_row(model_type: str) -> None:
    """Of a model whose angles have one row for all of a batch."""
    config = transformers.CONFIG_MAPPING[model_type].from_dict(tiny_config(model_type))
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, dtype=torch.float32).eval()
    platform, forward = opened(model)
    batch = {name: tensor.clamp(max=100) for name, tensor in tokens(3, 16).items()}
    platform.warm_up(forward, batch)
    batch["attention_mask"][1, 9:] = 0
    with torch.no_grad():
        expected = model(**batch).last_hidden_state
    own = batch["attention_mask"].bool()
    assert torch.allclose(forward(batch)[0][own], expected[own], atol=1e-4)


def test_an_operator_that_cannot_be_exported_is_named() -> None:
    _, forward = opened(Hard())
    with pytest.raises(
        PlatformError, match=r"--platform onnxruntime: .*fmbench_test.hardest.*; take --platform cpu"
    ) as caught:
        forward(tokens(2, 16))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--platform:provider", "CUDAExecutionProvidr"], "unknown; did you mean CUDAExecutionProvider"),
        (["--platform:provider", "x"], r"x: unknown \(known: CPUExecutionProvider, "),
        (
            ["--platform:provider", "QNNExecutionProvider"],
            "has CPUExecutionProvider only; in its place, onnxruntime-qnn",
        ),
        (["--compile"], "--compile: --platform onnxruntime does without"),
        (["--device", "1"], "--device 1: the CPU is one device"),
        (["--platform:quantize", "int9"], r"int9: unknown; did you mean int8.* \(it takes int8, int8-static\)"),
        (["--platform:quantize", "int8-static"], "int8-static: learns from texts; add --platform:calibration FILE"),
        (["--platform:quantize", "int8", "--platform:calibration", "f"], "int8: takes no calibration"),
        (["--platform:calibration", "f"], "--platform:quantize None: unknown"),
        (["--platform:quantize", "int8-static", "--platform:calibration", "no-file"], "no-file"),
        (["--model:attn_implementation", "unpaded"], "attn_implementation unpaded: unknown; did you mean unpadded"),
        (["--platform:model", "none.onnx"], "none.onnx: no such file"),
        (["--platform:model", __file__, "--platform:quantize", "int8"], "runs as it is; leave one of them out"),
    ],
)
def test_what_it_cannot_honour(options: list[str], said: str) -> None:
    with pytest.raises((UsageError, PlatformError), match=said):
        OnnxruntimeBackend().check(parse_arguments([*ARGV, *options]))


def test_weights_that_its_kernels_do_not_multiply(small) -> None:
    import copy

    with pytest.raises(UsageError, match="the weights are bfloat16, .*; add --model:dtype float32"):
        opened(copy.deepcopy(small).bfloat16())


def test_what_is_missing_is_named(monkeypatch) -> None:
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(PlatformError, match="onnxscript not installed.*pip install 'fmbench.onnxruntime.'"):
        OnnxruntimeBackend().check(parse_arguments(ARGV))


def test_texts_become_vectors_by_a_graph_that_learnt_from_others(tiny_text_model: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "passages.jsonl"
    file.write_text("".join(json.dumps({"_id": f"d{row}", "text": f"some words {row}"}) + "\n" for row in range(200)))
    static = ("--platform:quantize=int8-static", f"--platform:calibration={file}")
    expected = Encoder.load(text_arguments(tiny_text_model)).encode(TEXTS)
    plain = Encoder.load(text_arguments(tiny_text_model, platform="onnxruntime"))
    assert abs(plain.encode(TEXTS) - expected).max() < 1e-4
    rounded = Encoder.load(text_arguments(tiny_text_model, *static, platform="onnxruntime"))
    found = rounded.encode(TEXTS)
    assert abs(found - expected).max() > 1e-4 and rounded.platform.model_facts()["precision"] == "int8"
    assert rounded.platform.facts()["calibration"]["texts"] == 128 and "calibration" not in capsys.readouterr().err
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:31]))
    Encoder.load(text_arguments(tiny_text_model, *static, platform="onnxruntime"))
    assert "--platform:calibration: holds 31 texts; with fewer than 32" in capsys.readouterr().err
    keys = [encoder.key("query") for encoder in (plain, rounded)]
    assert [key["precision"] for key in keys] == ["float32", "int8"]
    file.write_text(file.read_text().replace("words", "other words"))
    again = Encoder.load(text_arguments(tiny_text_model, *static, platform="onnxruntime"))
    assert again.key("query")["platform"] != keys[1]["platform"]


def test_the_driver_says_what_was_computed(tiny_root: Path, capsys) -> None:
    model = ["--model_root", str(tiny_root), "--model_name", "tiny", "--weights", "random"]
    argv = [*ARGV[:4], *model, *SIZES, "--torch.call:set_grad_enabled@", "False", "--threads", "1"]
    assert main([*argv, "--vs", "--platform:quantize int8"]) == 0
    captured = capsys.readouterr()
    lines = [parse_line(line) for line in captured.out.splitlines()]
    late = [line.data for line in lines if is_json(line, "ENV") and "products" in line.data]
    assert [facts["precision"] for facts in late] == ["float32", "int8"]
    assert "onnxruntime computes these float32 weights in int8" in captured.err
    assert {"open", "check", "quantize"} <= {line.data["name"] for line in lines if is_json(line, "PHASE")}
    assert sum(isinstance(line, Res) for line in lines) == 2


class OneTensor(torch.nn.Module):
    """Returns vectors (rows, 8), as an encoder of queries does, and leaves the mask out."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(200, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.table(input_ids).sum(dim=1)


def test_an_output_that_is_a_tensor_stays_one() -> None:
    model, batch = OneTensor(), tokens(3, 7)
    assert torch.allclose(opened(model)[1](batch), model(**batch), atol=1e-5)


def test_the_list_has_the_providers(capsys) -> None:
    assert list_backends([]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("onnxruntime "))
    assert "(CPUExecutionProvider" in row and "Azure" not in row


@pytest.mark.parametrize(("said", "refused"), [((), True), (("--model:dtype", "float32"), False)])
def test_such_weights_are_refused_before_they_are_loaded(said: tuple[str, ...], refused: bool, monkeypatch, capsys):
    monkeypatch.setattr("fmbench.model.load", lambda *_: (_ for _ in ()).throw(UsageError("it is loaded")))
    words = ["--platform", "onnxruntime", "--weights", "random", "--model_name", CATALOGUED, *SIZES, *said]
    assert main(words) == 2
    found = capsys.readouterr().err
    assert ("the weights are float16, which its CPU kernels do not multiply" in found) is refused
    assert ("it is loaded" in found) is not refused
