"""A table of token vectors in service: the vectors that torch gives, without torch."""

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
from fmbench.encoder.static import StaticEncoder
from fmbench.encoder.table import TableEncoder, read_table
from fmbench.errors import UsageError
from fmbench.options import Arguments
from tests.tiny_model import WORDS, write_model, write_table

TEXTS = ["wing", "Mach, mach!", "", " ", "unknown wings ?", " ".join(WORDS * 3), "shock\twave\n heat"]
LENGTH = 12  # tokens, fewer than the longest text has


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StaticEmbedding with a prompt, cut at LENGTH tokens."""
    root = tmp_path_factory.mktemp("table")
    return write_table(root / "table", write_model(root / "tiny"), LENGTH, prompts={"query": "flow "})


def plan_of(folder: Path) -> EncoderPlan:
    return EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder)), Recipe(), query_side=True)


def test_the_vectors_are_those_of_torch(folder):
    found = TableEncoder.load(plan_of(folder))
    rules = Tokenizer.from_file(str(folder / "0_Static" / "tokenizer.json"))
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
from fmbench.encoder.static import StaticEncoder
from fmbench.encoder.table import TableEncoder
from fmbench.options import Arguments
plan = EncoderPlan.of(Arguments(platform="cpu", model_name={str(folder)!r}), Recipe(), query_side=True)
assert abs(float((TableEncoder.load(plan)("shock wave") ** 2).sum()) - 1) < 1e-6
print({{"torch", "transformers"}} & set(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_widened(dtype, tmp_path):
    rows = torch.randn(7, 4).to(dtype)
    save_file({"embedding.weight": rows}, tmp_path / "model.safetensors")
    assert np.array_equal(read_table(tmp_path), rows.float().numpy())
    assert np.array_equal(read_table(tmp_path, 3), rows.float().numpy()[:, :3])


def test_a_damaged_table_and_tokens_without_a_row_are_one_line(folder, tmp_path):
    found = TableEncoder.load(plan_of(folder))
    rules = Tokenizer.from_file(str(folder / "0_Static" / "tokenizer.json"))
    with pytest.raises(UsageError, match=r"knows \d+ tokens and the table has 5 rows"):
        TableEncoder(found.rows[:5], rules, "")
    whole = (folder / "0_Static" / "model.safetensors").read_bytes()
    for damaged in (whole[:-100], b"", b"not a table of vectors", whole[:40]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(UsageError, match=r"model.safetensors: not readable"):
            read_table(tmp_path)


@pytest.mark.parametrize("normalised", [True, False])
def test_both_roles_are_encoded_as_sentence_transformers_does(normalised, folder, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    prompts = {"query": "flow ", "document": "heat "}
    table = write_table(tmp_path / "table", folder.parent / "tiny", LENGTH, normalised, prompts=prompts)
    theirs = library.SentenceTransformer(str(table), device="cpu")
    ours = StaticEncoder(EncoderPlan.of(Arguments(platform="cpu", model_name=str(table)), Recipe(), table=True))
    texts = [text for text in TEXTS if text.strip()]
    assert np.abs(ours.encode(texts, "query") - theirs.encode_query(texts)).max() < 1e-6
    chunks = list(ours.encode_chunks([texts[:2], texts[2:]], "passage"))
    assert np.abs(np.concatenate(chunks) - theirs.encode_document(texts)).max() < 1e-6
    assert (ours.timings.texts, ours.timings.batches) == (2 * len(texts), 3)
    found = ours.encode(texts[:1], "query")[0]
    assert np.abs(found / np.linalg.norm(found) - TableEncoder.load(plan_of(table))(texts[0])).max() < 1e-6
    assert ours.key("query") != ours.key("passage")


@pytest.mark.parametrize(
    ("recipe", "more", "said"),
    [
        ({"pooling": ("cls",)}, {}, "--pooling"), ({"tokens_per_batch": 64}, {}, "--tokens_per_batch"),
        ({}, {"weights": "random"}, "--weights random"), ({"truncate_dim": 8}, {}, "say --normalize yes"),
        ({"truncate_dim": 99, "normalise": True}, {}, "the vectors have 16 numbers"),
    ],
)  # fmt: skip
def test_what_would_change_nothing_is_refused(recipe, more, said, folder):
    plan = EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder), **more), Recipe(**recipe), table=True)
    with pytest.raises(UsageError, match=said):
        StaticEncoder(plan)


def test_a_table_has_no_network_for_those_who_need_one(folder):
    with pytest.raises(
        UsageError, match="is a table of token vectors, with no network to run; `fmbench retrieve` takes it"
    ):
        EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder)))
