import copy

import numpy as np
import pytest
import torch
import transformers

pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")

from fmbench.backend import Forward
from fmbench.backends import instructions
from fmbench.backends.openvino import OpenvinoBackend
from fmbench.backends.openvino_convert import SHORT, STEP
from fmbench.drivers.embed import main
from fmbench.errors import PlatformError, UsageError
from fmbench.lines import Res, is_json, parse_line
from fmbench.options import parse_arguments

ARGV = ["--platform", "openvino", "--model_class", "BertModel", "--model_name", "m", "--input_sizes", "16"]
ARGV += ["--batch_sizes", "2", "--reps", "4"]
COMPILE = ["--platform:frontend", "torch.compile"]
F32 = ["--compile:options:config@", "{'INFERENCE_PRECISION_HINT': 'f32'}"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restore_torch")]  # most convert a model


@pytest.fixture(scope="module")
def small():
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    torch.manual_seed(0)
    return transformers.BertModel(config).eval()


def test_the_graph_runs_in_openvino_and_agrees_with_eager(small) -> None:
    arguments = parse_arguments([*ARGV, *COMPILE, *F32]).evaluated()
    platform = OpenvinoBackend()
    platform.check(arguments)
    platform.setup(arguments)
    ids = torch.randint(5, 200, (2, 16))
    batch = platform.place({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    with torch.no_grad():
        found = platform.prepare(small, arguments)(batch)[0]
        platform.observe()
        expected = small(**batch)[0]
    assert torch.allclose(found, expected, atol=1e-4)
    facts = platform.model_facts()
    assert facts["precision"] == "float32" and facts["openvino_graphs"] >= 1


def test_the_driver_records_the_precision_really_used(minilm, capsys) -> None:
    """torch says float32; what OpenVINO computes in is its own choice, and the log must say it."""
    model = ["--model_root", str(minilm.parent), "--model_name", "model"]
    argv = [*ARGV[:4], *model, *ARGV[6:], "--torch.call:set_grad_enabled@", "False"]
    assert main(argv) == 0
    lines = [parse_line(line) for line in capsys.readouterr().out.splitlines()]
    facts = {key: value for line in lines if is_json(line, "ENV") for key, value in line.data.items()}
    assert facts["dtype"] == "float32"
    assert facts["precision"] in ("float32", "bfloat16", "float16")
    assert facts["packages"]["openvino"] and facts["openvino_devices"]["CPU"]
    kinds = [line.kind for line in lines if line]
    assert kinds.index("ENV", kinds.index("CASE")) < kinds.index("RES")
    assert sum(isinstance(line, Res) for line in lines) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compile:backend", "inductor"], "--compile:backend inductor: --platform openvino compiles with openvino"),
        (["--device", "1"], "--compile:options:device GPU.1"),
    ],
)
def test_what_it_cannot_honour(options: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        OpenvinoBackend().check(parse_arguments([*ARGV, *options]))


def test_a_device_that_openvino_does_not_have(small) -> None:
    arguments = parse_arguments([*ARGV, "--compile:options:device", "CPUX"]).evaluated()
    platform = OpenvinoBackend()
    platform.setup(arguments)
    with pytest.raises(UsageError, match="--compile:options:device CPUX: .*did you mean CPU"):
        platform.prepare(small, arguments)


def test_the_cpu_with_this_compiler_records_the_precision_too(minilm, capsys) -> None:
    """And two models that compile in one process are told apart."""
    model = ["--model_root", str(minilm.parent), "--model_name", "model"]
    argv = ["--platform", "cpu", *ARGV[2:4], *model, *ARGV[6:], "--torch.call:set_grad_enabled@", "False"]
    exact = f'--platform openvino {" ".join(COMPILE)} {F32[0]} "{F32[1]}"'
    assert main([*argv, "--compile:backend", "openvino", "--vs", exact]) == 0
    lines = [parse_line(line) for line in capsys.readouterr().out.splitlines()]
    late = [line.data for line in lines if is_json(line, "ENV") and "precision" in line.data]
    assert [facts.get("variant", "A") for facts in late] == ["A", "B"]
    assert late[0]["precision"] in ("float32", "bfloat16", "float16") and late[1]["precision"] == "float32"
    assert [facts["openvino_graphs"] for facts in late] == [1, 1]


def test_a_variant_that_shares_the_other_ones_graph_has_its_facts(minilm, capsys) -> None:
    model = ["--model_root", str(minilm.parent), "--model_name", "model"]
    without = ["--torch.call:set_grad_enabled@", "False"]
    assert main([*ARGV[:4], *model, *ARGV[6:], *COMPILE, *without, "--vs", "--platform openvino"]) == 0
    lines = [parse_line(line) for line in capsys.readouterr().out.splitlines()]
    late = [line.data["precision"] for line in lines if is_json(line, "ENV") and "precision" in line.data]
    assert len(late) == 2 and late[0] == late[1] in ("float32", "bfloat16", "float16")


def converted(model, *options: str) -> tuple[OpenvinoBackend, Forward]:
    arguments = parse_arguments([*ARGV, *options])
    platform = OpenvinoBackend()
    platform.check(arguments)
    platform.setup(arguments)
    arguments = arguments.evaluated()
    assert platform.fixed_shapes(arguments) is False
    return platform, platform.prepare(model, arguments)


def tokens(rows: int, length: int, words: int = 200) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, words, (rows, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def test_a_converted_model_agrees_with_eager_for_every_shape(small, recwarn, capfd) -> None:
    platform, forward = converted(small, *F32)
    assert [phase.name for phase in platform.warm_up(forward, tokens(2, 16))] == ["convert", "open", "check"]
    assert platform.warm_up(forward, tokens(2, 16)) == []
    kept = []
    for shape in ((2, 16), (1, 1), (5, 40), (2, 8)):
        batch = tokens(*shape)
        batch["attention_mask"][-1, shape[1] // 2 + 1 :] = 0
        found = forward(batch)
        platform.observe()
        with torch.no_grad():
            expected = small(**batch).last_hidden_state
        assert found[0] is found.last_hidden_state
        kept.append((found[0], expected))
    assert all(torch.allclose(found, expected, atol=1e-4) for found, expected in kept)  # no call writes over another
    facts = platform.model_facts()
    assert (facts["precision"], facts["openvino_graphs"]) == ("float32", 1)
    assert platform.facts()["openvino_frontend"] == "convert_model"
    assert platform.computes_in("float32") == "float32"
    assert not recwarn.list and capfd.readouterr() == ("", "")


def test_a_short_text_alone_has_a_graph_of_its_own_length(small) -> None:
    """A padded row is the text's own vectors; beyond SHORT, and in a batch, the graph of every shape computes."""
    _, forward = converted(small, *F32)
    forward(tokens(1, 7))
    graph = next(iter(forward.graphs.values()))
    for rows, length in ((1, 7), (1, SHORT), (1, SHORT + 1), (3, 7)):
        batch = tokens(rows, length)
        with torch.no_grad():
            assert torch.allclose(forward(batch)[0], small(**batch)[0], atol=1e-4)
    assert sorted(graph._requests) == [STEP, SHORT]
    found = {"np": np}
    exec(str(forward.program()), found)  # noqa: S102 (our own lines)
    for rows, length in ((1, 7), (2, 7)):
        batch = tokens(rows, length)
        assert np.allclose(
            found["run"]({name: one.numpy() for name, one in batch.items()}), forward(batch)[0], atol=1e-4
        )


def test_a_model_of_few_positions_has_no_padded_rows() -> None:
    torch.manual_seed(0)
    few = transformers.BertModel(transformers.BertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=SHORT - 1,
    )).eval()  # fmt: skip
    _, forward = converted(few, *F32)
    batch = tokens(1, SHORT - 1)
    with torch.no_grad():
        assert torch.allclose(forward(batch)[0], few(**batch)[0], atol=1e-4)
    assert not next(iter(forward.graphs.values()))._requests


def test_one_row_first_does_not_spare_the_other_graph_its_check(small, monkeypatch) -> None:
    """Two graphs compute, one of them not yet: a wrong one is found before it is used."""
    from fmbench.backends.openvino_convert import OpenvinoGraph

    right = OpenvinoGraph.__call__
    monkeypatch.setattr(
        OpenvinoGraph, "__call__", lambda self, batch: right(self, batch) * (1 if len(batch["input_ids"]) == 1 else -1)
    )
    _, forward = converted(small, *F32)
    with pytest.raises(PlatformError, match="least cosine"):
        forward(tokens(1, 7))


def test_other_inputs_are_another_graph(small) -> None:
    platform, forward = converted(small, *F32)
    batch = tokens(2, 16)
    types = {**batch, "token_type_ids": torch.ones_like(batch["input_ids"])}
    with torch.inference_mode():
        for given in (batch, types):
            assert torch.allclose(forward(given)[0], small(**given)[0], atol=1e-4)
    assert platform.model_facts()["openvino_graphs"] == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_weights_are_converted_too(small, dtype) -> None:
    _, forward = converted(copy.deepcopy(small).to(dtype))
    batch = tokens(4, 16)
    found = forward(batch).last_hidden_state
    assert found.dtype == torch.float32
    with torch.no_grad():
        assert torch.cosine_similarity(found, small(**batch)[0], dim=-1).min() > 0.99


@pytest.mark.parametrize("threads", [1, 2])
def test_a_converted_model_has_the_threads_of_torch(small, threads: int) -> None:
    platform, forward = converted(small)
    torch.set_num_threads(threads)
    forward(tokens(2, 16))
    facts = platform.model_facts()
    assert (facts["openvino_threads"], facts["openvino_streams"]) == (threads, 1)
    assert isinstance(facts["openvino_pinning"], bool)


class OneTensor(torch.nn.Module):
    """Returns vectors (rows, 8), as an encoder of queries does, and leaves the mask out."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(200, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.table(input_ids).sum(dim=1)


class Frozen(OneTensor):
    """Goes over the tokens in Python, so that a trace has as many steps as its example has tokens."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(input_ids), 8)
        for position in range(input_ids.shape[1]):
            state = torch.tanh(self.table(input_ids[:, position]) - state)
        return state


def test_an_output_that_is_a_tensor_stays_one() -> None:
    model = OneTensor()
    _, forward = converted(model, *F32)
    batch = tokens(3, 7)
    assert torch.allclose(forward(batch), model(**batch), atol=1e-5)


@torch.library.custom_op("fmbench_test::unknown_to_openvino", mutates_args=())
def unknown(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.clone()


class Hard(OneTensor):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return unknown(self.table(input_ids))


def test_an_operator_that_cannot_be_converted_is_named() -> None:
    _, forward = converted(Hard(), *F32)
    with pytest.raises(PlatformError, match="fmbench_test.*unknown_to_openvino") as caught:
        forward(tokens(2, 16))
    assert "\n" not in str(caught.value)


def test_a_graph_that_froze_a_length_is_refused() -> None:
    _, forward = converted(Frozen(), *F32)
    with pytest.raises(
        PlatformError, match=r"does not compute what torch does \(.*take --platform onnxruntime or --platform cpu"
    ):
        forward(tokens(2, 16))


def test_a_property_that_openvino_refuses_is_one_line(small) -> None:
    _, forward = converted(small, "--compile:options:config@", "{'NO_SUCH_PROPERTY': 1}")
    with pytest.raises(PlatformError, match="--platform openvino: .*NO_SUCH_PROPERTY") as caught:
        forward(tokens(2, 16))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--platform:frontend", "convert_modl"],
            "--platform:frontend convert_modl: unknown; did you mean convert_model",
        ),
        (["--platform:frontend", "x"], r"unknown \(the frontends are convert_model, torch.compile\)"),
        (
            ["--compile:dynamic@", "False"],
            "--compile:dynamic: OpenVINO converts the model without torch.compile",
        ),
        (["--compile:options:aot_autograd@", "True"], "--compile:options:aot_autograd: "),
        (["--compile:options", "x"], "--compile:options: "),
    ],
)
def test_what_a_conversion_cannot_honour(options: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        OpenvinoBackend().check(parse_arguments([*ARGV, *options]))


def test_what_only_shows_once_it_is_evaluated(small) -> None:
    with pytest.raises(UsageError, match="--compile:options:aot_autograd: "):
        converted(small, "--compile:options@", "{'aot_autograd': True}")


def test_the_driver_times_a_converted_model_beside_the_other_frontend(minilm, capsys) -> None:
    model = ["--model_root", str(minilm.parent), "--model_name", "model"]
    argv = [*ARGV[:4], *model, *ARGV[6:], "--torch.call:set_grad_enabled@", "False"]
    assert main([*argv, "--threads", "1", "--vs", "--platform:frontend torch.compile"]) == 0
    captured = capsys.readouterr()
    lines = [parse_line(line) for line in captured.out.splitlines()]
    assert "TracerWarning" not in captured.err
    facts = [line.data for line in lines if is_json(line, "ENV")]
    frontends = {data.get("variant", "A"): data["openvino_frontend"] for data in facts if "openvino_frontend" in data}
    assert frontends == {"A": "convert_model", "B": "torch.compile"}
    compiles = {data.get("variant", "A"): data["compile"] for data in facts if "compile" in data}
    assert compiles == {"A": None, "B": True}  # A knows no torch.compile
    late = [data for data in facts if "precision" in data]
    assert [data["openvino_graphs"] for data in late] == [1, 1] and late[0]["openvino_threads"] == 1
    phases = [line.data["name"] for line in lines if is_json(line, "PHASE")]
    assert phases.index("open") < phases.index("check")
    assert sum(isinstance(line, Res) for line in lines) == 2


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "passages.tsv"
    file.write_text("".join(f"d{row}\tsome words {row}\n" for row in range(30)))
    return ["--platform:quantize", "int8", "--platform:calibration", str(file)]


def test_8_bits_are_counted_where_they_are_multiplied(tiny_text_model, texts, capfd) -> None:
    pytest.importorskip("nncf", reason="pip install 'fmbench[openvino]'")
    model = transformers.AutoModel.from_pretrained(tiny_text_model)
    platform, forward = converted(model, *texts)
    batch = tokens(4, 16, words=50)
    assert [phase.name for phase in platform.warm_up(forward, batch)][-3:] == ["quantize", "open", "check"]
    facts = platform.model_facts()
    assert facts["precision"] == "int8" and facts["products"]["int8"] >= 12 and facts["least_cosine"] < 0.99999
    assert platform.computes_in("float32") == "int8"
    described = platform.facts()
    assert (described["quantize"], described["calibration"]["texts"]) == ("int8", 30)
    assert "calibration" in platform.identity() and capfd.readouterr().out == ""


def test_a_cpu_without_the_instructions_gets_7_bits_and_a_warning(tiny_text_model, texts, monkeypatch, capsys) -> None:
    pytest.importorskip("nncf", reason="pip install 'fmbench[openvino]'")
    monkeypatch.setattr(instructions, "cpuinfo", lambda name: "avx2" if name == "flags" else None)
    platform, forward = converted(transformers.AutoModel.from_pretrained(tiny_text_model), *texts)
    assert "--platform:quantize: this CPU multiplies no 8-bit numbers" in capsys.readouterr().err
    assert platform.facts()["bits"] == 7
    forward(tokens(2, 16, words=50))
    assert platform.model_facts()["precision"] == "int8"


def test_weights_alone_may_have_8_bits(small) -> None:
    pytest.importorskip("nncf", reason="pip install 'fmbench[openvino]'")
    platform, forward = converted(small, "--platform:quantize", "int8-weights", *F32)
    forward(tokens(4, 16))
    facts = platform.model_facts()
    assert facts["precision"] == "float32" and "int8" not in facts["products"] and facts["least_cosine"] < 0.9999999
    assert platform.computes_in("float32") == "float32"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--platform:quantize", "int8"], "int8: learns from texts; add --platform:calibration FILE"),
        (["--platform:quantize", "int8-weigths"], "unknown; did you mean int8-weights"),
        (["--platform:quantize", "int8-weights", *COMPILE], "is for --platform:frontend convert_model"),
    ],
)
def test_what_8_bits_want(options: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        OpenvinoBackend().check(parse_arguments([*ARGV, *options]))


def test_a_model_without_a_tokenizer_learns_from_no_texts(small, texts) -> None:
    pytest.importorskip("nncf", reason="pip install 'fmbench[openvino]'")
    _, forward = converted(small, *texts)
    with pytest.raises(UsageError, match="no tokenizer lies beside this model's weights"):
        forward(tokens(2, 16))


@pytest.mark.parametrize(
    "words", [("openvino", "--platform:frontend", "torch.compile"), ("cpu", "--compile:backend", "openvino")]
)
def test_weights_that_torch_would_compute_are_refused_before_they_are_loaded(words, monkeypatch, capsys) -> None:
    monkeypatch.setattr("fmbench.model.load", lambda *_: pytest.fail("it is loaded"))
    given = ["--weights", "random", "--model_name", "BAAI/bge-small-en-v1.5", "--model:dtype", "bfloat16"]
    assert main(["--platform", *words, *given, "--input_sizes", "16", "--batch_sizes", "2"]) == 2
    assert "it takes no bfloat16 weights this way" in capsys.readouterr().err
