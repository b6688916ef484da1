"""A table of token vectors in service: the vectors that torch gives, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from fmbench.encoder import EncoderPlan, Recipe
from fmbench.encoder.network import TableNetwork
from fmbench.encoder.table import TableEncoder, read_table
from fmbench.errors import UsageError
from fmbench.options import Arguments
from tests.tiny_model import WORDS, write_model

TEXTS = ["wing", "Mach, mach!", "", " ", "unknown wings ?", " ".join(WORDS * 3), "shock\twave\n heat"]
LENGTH = 12  # tokens, fewer than the longest text has


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StaticEmbedding with a prompt, cut at LENGTH tokens."""
    root = tmp_path_factory.mktemp("table")
    rules = Tokenizer.from_file(str(write_model(root / "tiny") / "tokenizer.json"))
    rules.enable_truncation(LENGTH)
    (root / "static").mkdir()
    rules.save(str(root / "static" / "tokenizer.json"))
    torch.manual_seed(0)
    save_file({"embedding.weight": torch.randn(rules.get_vocab_size(), 16)}, root / "static" / "model.safetensors")
    module = {"idx": 0, "name": "0", "path": "static", "type": "sentence_transformers.models.StaticEmbedding"}
    (root / "modules.json").write_text(json.dumps([module]))
    (root / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "flow "}}))
    return root


def plan_of(folder: Path) -> EncoderPlan:
    return EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder)), Recipe(), query_side=True)


def test_the_vectors_are_those_of_torch(folder):
    found = TableEncoder.load(plan_of(folder))
    rules = Tokenizer.from_file(str(folder / "static" / "tokenizer.json"))
    network = TableNetwork(torch.from_numpy(np.array(found.rows)))
    for text, one in zip(TEXTS, found.many(TEXTS, batch_size=3), strict=True):
        ids = torch.tensor([rules.encode("flow " + text, add_special_tokens=False).ids])
        assert ids.shape[1] <= LENGTH
        expected = network.vectors(ids, torch.ones_like(ids))[0].detach().numpy()
        assert one.dtype == np.float32
        assert np.abs(one - expected).max() < 1e-6
        assert np.array_equal(found(text), one)
    assert not TableEncoder(found.rows, rules, "")("").any()  # no token, no direction
    assert isinstance(found.rows.base, np.memmap)


def test_encoding_a_query_imports_no_torch(folder):
    program = f"""
import sys
from pathlib import Path
from fmbench.encoder import EncoderPlan, Recipe
from fmbench.encoder.table import TableEncoder
from fmbench.options import Arguments
plan = EncoderPlan.of(Arguments(platform="cpu", model_name={str(folder)!r}), Recipe(), query_side=True)
assert abs(float((TableEncoder.load(plan)("shock wave") ** 2).sum()) - 1) < 1e-6
print({{"torch", "transformers"}} & set(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_widened(dtype, folder, tmp_path):
    rows = torch.randn(7, 4).to(dtype)
    save_file({"embedding.weight": rows}, tmp_path / "model.safetensors")
    plan = plan_of(folder)
    plan.folder.path, plan.folder.transformer = tmp_path, ""
    assert np.array_equal(read_table(plan), rows.float().numpy())


def test_a_damaged_table_and_tokens_without_a_row_are_one_line(folder, tmp_path):
    plan = plan_of(folder)
    found = TableEncoder.load(plan)
    rules = Tokenizer.from_file(str(folder / "static" / "tokenizer.json"))
    with pytest.raises(UsageError, match=r"knows \d+ tokens and the table has 5 rows"):
        TableEncoder(found.rows[:5], rules, "")
    plan.folder.path, plan.folder.transformer = tmp_path, ""
    whole = (folder / "static" / "model.safetensors").read_bytes()
    for damaged in (whole[:-100], b"", b"not a table of vectors", whole[:40]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(UsageError, match=r"model.safetensors: not readable"):
            read_table(plan)
