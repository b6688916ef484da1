"""Nothing that lies in a model's folder runs, whatever stands in standard input."""

import json
from pathlib import Path

import pytest

from fmbench import model
from fmbench.drivers.embed import main as driver
from fmbench.drivers.retrieve.cli import main as retrieve
from fmbench.encoder.folder import Folder
from fmbench.encoder.tokens import load_tokenizer
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.source import Source, check_indexes, locate, read_config

from .text_models import save_bert
from .tiny_model import write_collection

TRUSTED = "--model:trust_remote_code@ True"


def edit(path: Path, **changes: object) -> None:
    whole = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in whole.items() if value is not None}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model whose configuration, model and tokenizer are code that leaves a file `ran` where it is run."""
    saved = save_bert(tmp_path / "own")
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom transformers import *\n"
    (saved / "own.py").write_text(code + "class Own(BertConfig):\n    model_type = 'own'\n")
    edit(saved / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own"})
    edit(saved / "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})
    return saved


@pytest.fixture(autouse=True)
def yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "yes")


@pytest.mark.parametrize("program", ["driver", "retrieve"])
def test_code_by_a_prompt_is_one_line(program: str, folder: Path, tmp_path: Path, script) -> None:
    words = ["--platform", "cpu", "--model_name", folder]
    if program == "driver":
        command = ["driver", *words, "--input_sizes", "8", "--batch_sizes", "1", "--reps", "1"]
    else:
        collection = write_collection(tmp_path / "wings")
        command = ["fmbench", "retrieve", "encode", *words, "--dataset", collection,
                   "--encoding_cache_dir", tmp_path / "cache"]  # fmt: skip
    ran = script(*command, input="yes\n" * 1000)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert TRUSTED in ran.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("said", ["False", "True"])
def test_a_text_is_no_permission(said: str, folder: Path, tmp_path: Path, capsys) -> None:
    words = ["--platform", "cpu", "--model_name", str(folder), "--input_sizes", "8", "--batch_sizes", "1"]
    assert driver([*words, "--reps", "1", "--model:trust_remote_code", said]) == 2
    assert f"--model:trust_remote_code {said}: neither True nor False" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_every_loader_refuses_by_itself(folder: Path, tmp_path: Path) -> None:
    """The hub's models come to them without a look at their files."""
    source = Source("folder", str(folder), read_config(folder / "config.json"))
    given = Arguments(platform="cpu", model_class="AutoModel", model_name=str(folder))
    for load in (lambda: model.load(source, given), lambda: model.load_tokenizer(source),
                 lambda: load_tokenizer(Folder(folder))):  # fmt: skip
        with pytest.raises(UsageError, match="brings code of its own"):
            load()
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_trusted_code_runs(folder: Path, tmp_path: Path) -> None:
    """The folder is one whose code would run: the other tests fail for nothing else."""
    source = Source("folder", str(folder), read_config(folder / "config.json"), trusted=True)
    with pytest.raises(TypeError):  # it is no tokenizer, after all
        load_tokenizer(Folder(folder), trusted=source.trusted)
    assert (tmp_path / "ran").exists()


def test_a_tokenizer_of_its_own_is_one_line(folder: Path, tmp_path: Path, capfd) -> None:
    edit(folder / "config.json", model_type="bert", auto_map=None)
    collection = write_collection(tmp_path / "wings")
    words = ["--platform", "cpu", "--model_name", folder, "--dataset", collection, "--pooling", "mean",
             "--encoding_cache_dir", tmp_path / "cache"]  # fmt: skip
    assert retrieve(["encode", *map(str, words)]) == 2
    error = capfd.readouterr().err.splitlines()
    assert len([line for line in error if "error" in line]) == 1 and TRUSTED in error[-1]
    assert not (tmp_path / "ran").exists()


def test_the_librarys_model_instead_of_the_folders_is_a_warning(folder: Path, capsys) -> None:
    edit(folder / "config.json", model_type="bert")
    locate(Arguments(platform="cpu", model_class="AutoModel", model_name=str(folder)))
    assert "is not run: the library's bert is taken" in capsys.readouterr().err
    locate(Arguments(
        platform="cpu", model_class="AutoModel", model_name=str(folder),
        options={**Arguments(platform="cpu", model_class="x", model_name="x").options,
                 "model": {"trust_remote_code": False}},
    ))  # fmt: skip
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "shard", "said"),
    [
        ("model.safetensors.index.json", "pytorch_model-00001.bin", "no file of safetensors"),
        ("model.safetensors.index.fp16.json", "x.pkl", "no file of safetensors"),
        ("model.safetensors.index.json", "../other/model.safetensors", "leads out of the folder"),
        ("model.safetensors.index.json", "/other/model.safetensors", "leads out of the folder"),
        ("pytorch_model.bin.index.json", "../other/pytorch_model.bin", "leads out of the folder"),
        ("below/model.safetensors.index.json", "pytorch_model.bin", "no file of safetensors"),
    ],
)
def test_an_index_names_safe_files_of_its_folder(name: str, shard: str, said: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model-00001.bin")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(UsageError, match=said):
        check_indexes(folder)
    edit(folder / "config.json", model_type="bert", auto_map=None)
    with pytest.raises(UsageError, match=said):
        locate(Arguments(platform="cpu", model_class="AutoModel", model_name=str(folder)))
