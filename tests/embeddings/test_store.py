import gc
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from fmbench.embeddings import Embeddings, open_or_encode
from fmbench.embeddings.manifest import texts_per_shard
from fmbench.encoder import CHUNK, BadVectorError, OtherTextError
from fmbench.errors import FmbenchError, PlatformError, UsageError

from .conftest import DIMENSION, FakeEncoder, Lines, files, vector

THREE = Lines(2 * CHUNK + 100)  # three files


def shard_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*.safetensors"))


def right(found: Embeddings, texts: Lines = THREE) -> None:
    assert found.ids == [line.id for line in texts]
    assert np.array_equal(found.as_array(), np.stack([vector(line.passage) for line in texts]))


def test_what_is_encoded_is_served_again(tmp_path: Path, encoder: FakeEncoder, capsys) -> None:
    done = []
    first = open_or_encode(tmp_path, THREE, encoder, "passage", progress=lambda *both: done.append(both))
    right(first)
    assert (len(first), first.dim, first.dtype) == (THREE.size, DIMENSION, "float32")
    assert done == [(CHUNK, 1124), (2 * CHUNK, 1124), (1124, 1124)]
    assert len(shard_files(tmp_path)) == len(encoder.encoded) == 3
    before = files(tmp_path)
    capsys.readouterr()
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))
    assert len(encoder.encoded) == 3 and files(tmp_path) == before
    assert "passage vectors come from the cache" in capsys.readouterr().err


def test_a_query_is_its_text_and_a_passage_has_its_title(tmp_path: Path, encoder: FakeEncoder) -> None:
    open_or_encode(tmp_path, Lines(1), encoder, "query")
    open_or_encode(tmp_path, Lines(1), encoder, "passage")
    assert encoder.encoded == ["text 0", "title text 0"]


def test_names_say_what_lies_there(tmp_path: Path, encoder: FakeEncoder) -> None:
    encoder.name = "../we ird/Ünder_score-v1.5"
    open_or_encode(tmp_path, Lines(2), encoder, "query")
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("we-ird-Ünder_score-v1.5-query-")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["texts"] == 2 and manifest["tokens_per_batch"] == 1024
    assert manifest["key"]["input"] == Lines(2).digest()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights": "w1"}, "the weights are others now"),
        ({"configuration": "c1"}, "the configuration is another now"),
        ({"configuration": None}, "the configuration is another now"),
        ({"code": "c1"}, "the code is another now"),
        ({"modules": ["normalise", ["dense", "x"]]}, "the modules are others now"),
        ({"prompt": "query: "}, 'prompt "" -> "query: "'),
        ({"libraries": {"torch": "3"}}, 'libraries.torch "2" -> "3"'),
        ({"precision": "bfloat16"}, 'precision null -> "bfloat16"'),
    ],
)
def test_a_changed_part_of_the_key_encodes_anew_and_says_which(tmp_path, encoder, capsys, changed, said) -> None:
    open_or_encode(tmp_path, THREE, FakeEncoder(parts={"prompt": "far", "libraries": {"torch": "1"}}), "passage")
    open_or_encode(tmp_path, THREE, encoder, "passage")
    capsys.readouterr()
    encoder.parts = changed
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))
    assert len(encoder.encoded) == 6
    assert f"note: passage vectors are encoded anew: {said} (compared with org-fake-passage-" in capsys.readouterr().err


def test_a_changed_input_or_stored_type_encodes_anew(tmp_path: Path, encoder: FakeEncoder, capsys) -> None:
    open_or_encode(tmp_path, THREE, encoder, "passage")
    right(open_or_encode(tmp_path, replace(THREE, word="other"), encoder, "passage"), replace(THREE, word="other"))
    half = open_or_encode(tmp_path, THREE, encoder, "passage", dtype="float16")
    assert half.as_array().dtype == np.float16 and len(encoder.encoded) == 9
    said = capsys.readouterr().err
    assert "anew: input" in said and 'anew: stored "float32" -> "float16"' in said


def test_nothing_alike_is_not_compared(tmp_path: Path, encoder: FakeEncoder, capsys) -> None:
    open_or_encode(tmp_path, Lines(3), encoder, "passage")
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "manifest.json").write_text("{")
    (tmp_path / "file").touch()
    open_or_encode(tmp_path, Lines(4), FakeEncoder(parts={"weights": "other"}), "passage")
    open_or_encode(tmp_path, Lines(3), encoder, "query")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_file_is_found_and_redone(tmp_path: Path, encoder: FakeEncoder, capsys, damage: str) -> None:
    open_or_encode(tmp_path, THREE, encoder, "passage")
    before = files(tmp_path)
    path = shard_files(tmp_path)[1]
    content = path.read_bytes()
    changed = {
        "flip": content[:500] + bytes([content[500] ^ 1]) + content[501:],
        "cut": content[:-1],
        "empty": b"",
        "longer": content + b"\0",
    }
    path.write_bytes(changed[damage])
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))
    assert files(tmp_path) == before and encoder.encoded[3:] == [f"title text {CHUNK}"]
    said = capsys.readouterr().err
    assert f"{path}: damaged (its checksum is wrong)" in said and "2 of 3 files of passage vectors are there" in said


def test_a_missing_file_is_encoded_to_the_same_bytes(tmp_path: Path, encoder: FakeEncoder) -> None:
    open_or_encode(tmp_path, THREE, encoder, "passage")
    before = files(tmp_path)
    for path in (shard_files(tmp_path)[0], shard_files(tmp_path)[2]):
        path.unlink()
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))
    assert files(tmp_path) == before and encoder.encoded[3:] == ["title text 0", f"title text {2 * CHUNK}"]


def test_the_budget_that_was_measured_first_is_kept_for_the_rest(tmp_path: Path) -> None:
    first = FakeEncoder(tokens_per_batch=None)
    open_or_encode(tmp_path, THREE, first, "passage")
    shard_files(tmp_path)[2].unlink()
    later = FakeEncoder(tokens_per_batch=77)
    open_or_encode(tmp_path, THREE, later, "passage")
    assert (first.budgets, later.budgets) == ([4 * CHUNK], [4 * CHUNK])


def test_a_manifest_that_is_not_what_it_should_be(tmp_path: Path, encoder: FakeEncoder) -> None:
    open_or_encode(tmp_path, Lines(3), encoder, "passage")
    (manifest,) = tmp_path.glob("*/manifest.json")
    content = json.loads(manifest.read_text())
    content["key"]["weights"] = "another"
    manifest.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="holds vectors of something else than its name says; delete it"):
        open_or_encode(tmp_path, Lines(3), encoder, "passage")
    manifest.write_text("{")
    with pytest.raises(UsageError, match=r"manifest.json: not readable .* delete its folder to encode anew"):
        open_or_encode(tmp_path, Lines(3), encoder, "passage")


def test_a_cache_that_cannot_be_written(tmp_path: Path, encoder: FakeEncoder) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="the embedding cache cannot be written"):
        open_or_encode(tmp_path / "file", Lines(3), encoder, "passage")


def test_no_text_at_all(tmp_path: Path, encoder: FakeEncoder) -> None:
    found = open_or_encode(tmp_path, Lines(0), encoder, "passage")
    assert (len(found), found.ids, found.as_array().shape) == (0, [], (0, DIMENSION))
    assert list(found.blocks(10)) == []


def test_the_vectors_are_mapped_and_read_a_block_at_a_time(tmp_path: Path, encoder: FakeEncoder) -> None:
    found = open_or_encode(tmp_path, THREE, encoder, "passage")
    assert all(isinstance(shard.vectors, np.memmap) and not shard.vectors.flags.writeable for shard in found.shards)
    for rows in (1, 100, CHUNK, 600, 5000):
        blocks = list(found.blocks(rows))
        assert [len(block.ids) for block in blocks[:-1]] == [rows] * (len(blocks) - 1)
        assert [name for block in blocks for name in block.ids] == found.ids
        assert np.array_equal(np.concatenate([block.vectors for block in blocks]), found.as_array())
    assert isinstance(next(found.blocks(100)).vectors, np.memmap)
    places = [CHUNK + 1, 0, len(found) - 1, CHUNK - 1, CHUNK, 0]
    assert np.array_equal(found.rows(places), found.as_array()[places]) and found.rows([]).shape == (0, DIMENSION)
    one = open_or_encode(tmp_path, Lines(CHUNK), encoder, "passage")
    assert isinstance(one.as_array(), np.memmap)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_ranks_take_whole_files_and_together_everything(tmp_path: Path, encoder: FakeEncoder, world: int) -> None:
    done: dict[int, tuple[int, int]] = {}  # of a share, when it ends
    found = [
        open_or_encode(
            tmp_path, THREE, encoder, "passage", rank=rank, world=world,
            progress=lambda *both, rank=rank: done.update({rank: both}),
        )
        for rank in range(world)
    ]  # fmt: skip
    assert all(count == wanted == len(found[rank]) for rank, (count, wanted) in done.items()) and done
    assert [name for each in found for name in each.ids] == [line.id for line in THREE]
    assert len(encoder.encoded) == 3
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))
    assert len(encoder.encoded) == 3
    alone = tmp_path / "alone"
    open_or_encode(alone, THREE, FakeEncoder(), "passage")
    assert files(alone).keys() <= files(tmp_path).keys() | {f"alone/{name}" for name in files(alone)}
    assert [path.name for path in shard_files(alone)] == [path.name for path in shard_files(tmp_path)]


def test_files_are_not_too_many() -> None:
    assert [texts_per_shard(texts, 512) for texts in (0, 1, 512 * 256, 512 * 256 + 1, 2_000_000)] == [
        512, 512, 512, 1024, 8192,
    ]  # fmt: skip


def test_without_a_cache_the_folder_goes_with_the_vectors(encoder: FakeEncoder) -> None:
    found = open_or_encode(None, THREE, encoder, "passage")
    folder = found.shards[0].path.parent.parent
    right(found)
    assert folder.is_dir()
    del found
    gc.collect()
    assert not folder.exists()


def test_without_a_cache_nothing_is_left_at_exit() -> None:
    code = """
from fmbench.embeddings import open_or_encode
from tests.embeddings.conftest import FakeEncoder, Lines
found = open_or_encode(None, Lines(3), FakeEncoder(), "query")
print(found.shards[0].path.parent.parent)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() and not Path(done.stdout.strip()).exists()


class BadEncoder(FakeEncoder):
    """A fake whose vector of one text has no numbers, or numbers too large for float16."""

    value = float("inf")

    def encode_chunks(self, chunks, role, tokens_per_batch=None, kept=None):
        for vectors, chunk in ((np.ones((len(chunk), DIMENSION), np.float32), chunk) for chunk in chunks):
            for position, text in enumerate(chunk):
                if text.endswith(f" {CHUNK + 7}"):
                    if self.value == float("inf"):
                        raise BadVectorError(position, text, "its vector holds NaN")
                    vectors[position] = self.value
            yield vectors


def test_a_bad_vector_is_refused_by_the_id_of_its_text(tmp_path: Path) -> None:
    encoder = BadEncoder()
    with pytest.raises(PlatformError, match=f"text id {CHUNK + 7}: 'title text {CHUNK + 7}': its vector holds NaN"):
        open_or_encode(tmp_path, THREE, encoder, "passage")
    assert len(shard_files(tmp_path)) == 1  # what came before is kept
    encoder.value = 1e6
    with pytest.raises(UsageError, match=f"text id {CHUNK + 7}: its vector is too large for float16; store float32"):
        open_or_encode(tmp_path, THREE, encoder, "passage", dtype="float16")
    assert len(open_or_encode(tmp_path, THREE, encoder, "passage")) == THREE.size


def test_texts_that_become_fewer_are_noticed(tmp_path: Path, encoder: FakeEncoder) -> None:
    class Shrinking(Lines):
        def count(self) -> int:
            return self.size + 1

    with pytest.raises(UsageError, match="the passage texts became fewer while they were encoded"):
        open_or_encode(tmp_path, Shrinking(3), encoder, "passage")


# -- a cache that others use too


def usual_mode(folder: Path) -> int:
    """The permissions that a new file gets here."""
    (folder / "usual").touch()
    return stat.S_IMODE((folder / "usual").stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o007, 0o077])
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path: Path, encoder: FakeEncoder, mask: int) -> None:
    before = os.umask(mask)
    try:
        open_or_encode(tmp_path / "cache", THREE, encoder, "passage")
        usual = usual_mode(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert set(modes.values()) == {usual}, modes


@pytest.mark.parametrize(("tensors", "said"), [
    ({"other": np.zeros((CHUNK, DIMENSION), np.float32)}, "it holds no vectors"),
    ({"vectors": np.zeros((CHUNK, DIMENSION), np.float32)}, "it holds no vectors"),
    ({"vectors": np.zeros((CHUNK, DIMENSION + 1), np.float32), "ids": []}, "it holds other vectors"),
    ({"vectors": np.zeros((CHUNK, DIMENSION), np.float16), "ids": []}, "it holds other vectors"),
    ({"vectors": np.zeros((CHUNK - 1, DIMENSION), np.float32), "ids": []}, "it holds other vectors"),
    (None, "it holds no vectors"),
])  # fmt: skip
def test_a_planted_file_of_the_right_checksum(tmp_path: Path, encoder: FakeEncoder, capsys, tensors, said) -> None:
    open_or_encode(tmp_path, THREE, encoder, "passage")
    before, path = files(tmp_path), shard_files(tmp_path)[1]
    names = np.frombuffer(json.dumps([str(number) for number in range(CHUNK)]).encode(), np.uint8)
    content = b"nothing" if tensors is None else save({key: names if key == "ids" else each
                                                       for key, each in tensors.items()})  # fmt: skip
    path.unlink()
    planted = path.with_name(f"000001-{hashlib.sha256(content).hexdigest()[:32]}.safetensors")
    planted.write_bytes(content)
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))
    assert files(tmp_path) == before and f"{planted}: damaged ({said})" in capsys.readouterr().err


def test_a_long_name_of_a_model(tmp_path: Path) -> None:
    for name in ("org/" + "m" * 300, "\N{CJK UNIFIED IDEOGRAPH-6A21}" * 300):
        right(open_or_encode(tmp_path, Lines(3), FakeEncoder(name), "passage"), Lines(3))


def test_no_room_is_one_line_that_says_what_is_kept(tmp_path: Path, encoder: FakeEncoder) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        kept = "safetensors: not written .File too large.; what was written before is kept"
        with pytest.raises(FmbenchError, match=kept) as found:
            open_or_encode(tmp_path, THREE, encoder, "passage")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.value.exit_code == 1 and not list(tmp_path.glob("*/.*.part"))
    right(open_or_encode(tmp_path, THREE, encoder, "passage"))


def test_nothing_stays_of_a_platform_that_turned_wrong(tmp_path: Path) -> None:
    class Turning(FakeEncoder):
        def encode_chunks(self, *arguments, **named):
            for index, vectors in enumerate(super().encode_chunks(*arguments, **named)):
                if index == 2:
                    raise OtherTextError("whose vector is this?")
                yield vectors

    open_or_encode(tmp_path, Lines(3), FakeEncoder(), "query")
    before = shard_files(tmp_path)
    with pytest.raises(OtherTextError):
        open_or_encode(tmp_path, THREE, Turning(), "passage")
    assert shard_files(tmp_path) == before
    right(open_or_encode(tmp_path, THREE, FakeEncoder(), "passage"))
