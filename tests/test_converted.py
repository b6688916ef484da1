import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import transformers

from fmbench import cached, converted
from fmbench.converted import Batch, ByPosition, ConvertedModel, Converter, digest_of_model
from fmbench.errors import PlatformError
from fmbench.quantisation import Quantisation

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def small(seed: int = 0, **changes: int):
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, **changes
    )
    torch.manual_seed(seed)
    return transformers.BertModel(config, add_pooling_layer=False).eval()


def tokens(rows: int, length: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 50, (rows, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class FakeConverter(Converter):
    """Keeps weights in a file, and puts them into a model of the same class; `off` is added to what they give."""

    said, instead, distributions = "--platform fake", "take torch", ("fake",)

    def __init__(self, model, off: float = 0.0, quantisation: Quantisation | None = None) -> None:
        self.model, self.off, self.quantisation = model, off, quantisation
        self.texts: Sequence[Batch] | None = None

    def export(self, module: ByPosition, example: Batch, folder: Path) -> None:
        module(*example.values())
        torch.save(module.model.state_dict(), folder / "weights")

    def quantise(self, exported: Path, folder: Path, texts: Sequence[Batch]) -> None:
        self.texts = texts
        weights = torch.load(exported / "weights", weights_only=True)
        torch.save({name: (tensor * 256).round() / 256 for name, tensor in weights.items()}, folder / "weights")

    def program(self, folder: Path, graph, names: tuple[str, ...]) -> str:
        return f"run = open({str(folder)!r})"

    def open(self, folder: Path):
        model = small()
        model.load_state_dict(torch.load(folder / "weights", weights_only=True))
        return lambda batch: model(**batch).last_hidden_state.detach() + self.off


def names(phases) -> list[str]:
    return [phase.name for phase in phases]


def test_a_model_is_converted_once_and_then_found() -> None:
    first = ConvertedModel(small(), FakeConverter(small()))
    assert names(first.ready(tokens(2, 7))) == ["convert", "open", "check"]
    batch = tokens(3, 4)
    assert torch.allclose(first(batch).last_hidden_state, small()(**batch).last_hidden_state)
    again = ConvertedModel(small(), FakeConverter(small()))
    assert names(again.ready(tokens(4, 9))) == ["open", "check"] and again.ready(tokens(1, 1)) == []
    assert again.least_cosine == pytest.approx(1)


@pytest.mark.parametrize("way", [None, Quantisation("int8", "fake")])
@pytest.mark.parametrize("damage", ["no file of weights", "others"])
def test_a_damaged_folder_is_converted_again_with_one_line(damage: str, way: Quantisation | None, capsys) -> None:
    ConvertedModel(small(), FakeConverter(small())).ready(tokens(2, 7))
    (folder,) = (path for path in cached.root().iterdir() if path.is_dir())
    if damage == "others":
        torch.save(small(1).state_dict(), folder / "weights")
    else:
        (folder / "weights").write_text(damage)
    found = ConvertedModel(small(), FakeConverter(small(), quantisation=way))
    assert "convert" in names(found.ready(tokens(2, 7))) and (found.least_cosine or 0) > 0.8
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder} cannot be used any more, and is made again: --platform fake: " in line
    again = ConvertedModel(small(), FakeConverter(small(), quantisation=way))
    assert names(again.ready(tokens(2, 7))) == ["open", "check"] and capsys.readouterr().err == ""
    assert sum(path.is_dir() for path in cached.root().iterdir()) == (2 if way else 1)


def test_what_fails_anew_ends_the_run() -> None:
    ConvertedModel(small(), FakeConverter(small())).ready(tokens(2, 7))
    with pytest.raises(PlatformError, match="0.99 is wanted"):
        ConvertedModel(small(), FakeConverter(small(), off=1.0)).ready(tokens(2, 7))


@pytest.mark.parametrize("way", [None, Quantisation("int8", "fake")])
def test_what_failed_its_check_is_not_kept(way: Quantisation | None, capsys) -> None:
    for _ in range(2):  # the second run finds nothing that it could call damaged
        with pytest.raises(PlatformError, match="does not compute what torch does"):
            ConvertedModel(small(), FakeConverter(small(), off=1.0, quantisation=way)).ready(tokens(2, 7))
        assert there() == [] and capsys.readouterr().err == ""
    found = ConvertedModel(small(), FakeConverter(small(), quantisation=way))
    assert "convert" in names(found.ready(tokens(2, 7))) and capsys.readouterr().err == ""


def test_another_model_or_way_is_another_conversion() -> None:
    ConvertedModel(small(), FakeConverter(small())).ready(tokens(2, 7))
    rounded = FakeConverter(small(), quantisation=Quantisation("int8", "fake"))
    coarse = ConvertedModel(small(), rounded)
    assert names(coarse.ready(tokens(2, 7))) == ["check", "quantize", "open", "check"] and rounded.texts == []
    assert 0.8 < (coarse.least_cosine or 0) < 0.99999
    again = FakeConverter(small(), quantisation=Quantisation("int8", "fake"))
    assert names(ConvertedModel(small(), again).ready(tokens(2, 7))) == ["open", "check"]
    for model, way in (
        (small(1), None),
        (small(), Quantisation("int8", "fake", narrow=True)),
        (small(), Quantisation("x", "fake")),
    ):
        phases = ConvertedModel(model, FakeConverter(model, quantisation=way)).ready(tokens(2, 7))
        assert "quantize" in names(phases) if way else names(phases) == ["convert", "open", "check"]


def test_a_graph_that_computes_something_else_is_refused_with_its_cosine() -> None:
    model = ConvertedModel(small(), FakeConverter(small(), off=1.0))
    with pytest.raises(PlatformError, match=r"--platform fake: .*least cosine 0\.\d+ .*0.99 is wanted\); take torch"):
        model(tokens(2, 7))
    coarse = FakeConverter(small(), off=1e6, quantisation=Quantisation("int8", "fake"))
    with pytest.raises(PlatformError, match="0.99 is wanted"):  # before anything is rounded
        ConvertedModel(small(), coarse).ready(tokens(2, 7))
    assert coarse.texts is None


def test_what_other_code_computes_is_told_apart_by_nothing() -> None:
    assert digest_of_model(small()) == digest_of_model(small()) != digest_of_model(small(1))
    assert digest_of_model(small()) != digest_of_model(small().bfloat16())
    assert digest_of_model(small()) != digest_of_model(small(hidden_act="relu"))
    hooked, patched, own = small(), small(), small()
    hooked.encoder.register_forward_hook(lambda *_: None)
    patched.encoder.forward = patched.encoder.forward
    own.encoder.extra = ByPosition(small(), ())
    assert [digest_of_model(model) for model in (hooked, patched, own)] == [None, None, None]
    for _ in range(2):
        assert "convert" in names(ConvertedModel(hooked, FakeConverter(hooked)).ready(tokens(2, 7)))
    assert not cached.root().exists()


def test_a_cache_that_cannot_be_written_costs_time(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        assert "convert" in names(ConvertedModel(small(), FakeConverter(small())).ready(tokens(2, 7)))
    assert "nothing is kept there" in capsys.readouterr().err


def there() -> list[str]:
    return [path.name for path in cached.root().iterdir() if path.suffix != ".lock"]


FILLS = """
import json, sys
from fmbench import cached
def make(folder):
    with open(sys.argv[1], "a") as stream:
        stream.write("made\\n")
    (folder / "file").write_text(json.dumps(list(range(100_000))))
with cached.folder("name", make) as folder:
    assert json.loads((folder / "file").read_text())[-1] == 99_999
"""


def test_processes_at_once_make_a_folder_once(tmp_path: Path) -> None:
    cached.root().mkdir(parents=True)
    (cached.root() / ".name.killed.part").mkdir()
    command = [sys.executable, "-c", FILLS, str(tmp_path / "counted")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert (tmp_path / "counted").read_text() == "made\n"
    assert there() == ["name"]


def test_a_failure_leaves_no_folder() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError), cached.folder("name", fail):
        pass
    assert there() == []


def test_the_bottom_of_an_error_is_said() -> None:
    class Fails(FakeConverter):
        def export(self, module, example, folder) -> None:
            try:
                raise ValueError("no rule for\n aten::hardest")
            except ValueError as error:
                raise RuntimeError("step 2 of 3 failed; read the manual") from error

    with pytest.raises(PlatformError) as caught:
        ConvertedModel(small(), Fails(small())).ready(tokens(2, 7))
    assert str(caught.value) == (
        "--platform fake: cannot convert BertModel (ValueError: no rule for aten::hardest); take torch"
    )


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (2, 8), (3, 9), (5, 40)])
def test_the_example_differs_in_both_sizes_and_has_padding(rows: int, length: int) -> None:
    found = converted.example(tokens(rows, length))
    shape = tuple(found["input_ids"].shape)
    assert shape[0] != rows and shape[1] != length and min(shape) >= 2
    assert not found["attention_mask"][-1].all() and found["attention_mask"][-1].any()
