"""A capture on disk: what is written is read back bit for bit, and what is broken is named."""

import errno
import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from fmbench.capture.manifest import DTYPES, FILE, ArtifactError, parse_run
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity.writer import ArtifactWriter, check_free, discard
from fmbench.errors import FmbenchError, UsageError

from .conftest import manifest

RUN = {"q1": {"d2": 0.1, "d1": -3.5}, "q2": {"dé 3": 1e-30}}


def bits(tensor):
    return tensor.contiguous().view(-1).view(torch.uint8)


def random_bits(dtype, shape, seed=0):
    """A tensor of any bit pattern: NaN with payloads, infinities, subnormals, minus zero."""
    size = DTYPES[dtype].size * int(np.prod(shape))
    data = torch.from_numpy(np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 256, size, dtype="uint8"))
    return data.view(getattr(torch, dtype)).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_is_kept_bit_for_bit(dtype, capture):
    tensor = random_bits(dtype, (7, 3, 5))
    reader = capture("A", {"bert/x": [tensor[:2], tensor[2:2], tensor[2:]]})
    (artifact,) = reader.manifest.artifacts
    assert (artifact.dtype, artifact.shape, artifact.rows) == (dtype, (7, 3, 5), 7)
    assert torch.equal(bits(reader.tensor(artifact)), bits(tensor))


def test_other_tools_read_the_tensors(capture):
    tensor = torch.randn(5, 2).bfloat16()
    reader = capture("A", {"bert/layer 0 → out": tensor})
    (path,) = (reader.folder / "tensors").iterdir()
    assert path.name == "0000-bert-layer-0-out.safetensors"
    loaded = load_file(path)
    assert list(loaded) == ["bert/layer 0 → out"]
    assert torch.equal(loaded["bert/layer 0 → out"], tensor)


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 40), max_size=5), elements=st.integers(1, 200), width=st.integers(0, 4))
def test_the_digest_does_not_depend_on_the_pieces(tmp_path_factory, cuts, elements, width):
    tensor = torch.arange(40 * width).reshape(40, width)
    folder = tmp_path_factory.mktemp("capture")
    edges = [0, *sorted(cuts), 40]
    for name, pieces in {
        "one": [tensor],
        "many": [tensor[a:b] for a, b in pairwise(edges)],
    }.items():
        with ArtifactWriter(folder / name, manifest()) as writer:
            for piece in pieces:
                writer.append("bert", "x", piece)
    one, many = (ArtifactReader(folder / name) for name in ("one", "many"))
    assert one.manifest.artifacts == many.manifest.artifacts
    blocks = [block.clone() for block in many.blocks(many.find("bert/x"), elements)]
    assert torch.equal(many.tensor(many.find("bert/x")), tensor)
    assert torch.cat(blocks).tolist() == tensor.tolist() if width else not blocks
    assert all(0 < len(block) <= max(1, elements // max(1, width)) for block in blocks)


def test_artifacts_stand_in_execution_order_however_they_grow(capture, tmp_path):
    with ArtifactWriter(tmp_path / "A", manifest()) as writer:
        for batch in range(3):
            for layer in range(2):
                writer.append("bert", f"layer.{layer}", torch.full((2, 3), float(10 * batch + layer)))
        writer.append("bert", "loss", torch.tensor(0.5))
        writer.append("bert", "loss", torch.tensor(0.25))
        writer.rank("search", "exact", RUN)
        writer.judge({"q1": {"d1": 1, "d9": 0}})
    reader = ArtifactReader(tmp_path / "A")
    assert [artifact.label for artifact in reader.manifest.artifacts] == [
        "bert/layer.0", "bert/layer.1", "bert/loss", "search/exact",
    ]  # fmt: skip
    assert reader.tensor(reader.find("bert/layer.1"))[:, 0].tolist() == [1, 1, 11, 11, 21, 21]
    assert reader.tensor(reader.find("bert/loss")).tolist() == [0.5, 0.25]
    assert reader.run(reader.find("search/exact")) == RUN
    assert reader.find("search/exact").shape == (2, 2)
    assert reader.qrels().gains == {"q1": {"d1": 1.0, "d9": 0.0}}


def test_a_capture_without_judgements_has_none(capture):
    assert capture("A", {}).qrels() is None


def test_memory_holds_one_piece(tmp_path):
    code = f"""
import resource, torch
from pathlib import Path
from fmbench.capture.reader import ArtifactReader
from fmbench.capture.manifest import parse_run
from fmbench.drivers.fidelity.writer import ArtifactWriter
from tests.drivers.fidelity.conftest import manifest
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
piece = torch.ones(1000, 1000)
folder = Path({str(tmp_path / "A")!r})
before = peak()
with ArtifactWriter(folder, manifest()) as writer:
    for _ in range(60):
        writer.append("bert", "x", piece)
reader = ArtifactReader(folder)
reader.verify(reader.find("bert/x"))
assert reader.find("bert/x").bytes == 240_000_000
assert peak() - before < 60e6, peak() - before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# What does not fit


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (torch.zeros(2, 4), r"rows of float32 \[3\] cannot go on with float32 \[4\]"),
        (torch.zeros(2, 3).double(), r"cannot go on with float64 \[3\]"),
        (torch.zeros(2), r"cannot go on with float32 \[\]"),
    ],
)
def test_a_piece_that_does_not_fit_is_refused(second, said, tmp_path):
    writer = ArtifactWriter(tmp_path / "A", manifest())
    writer.append("bert", "x", torch.zeros(2, 3))
    with pytest.raises(ValueError, match=said):
        writer.append("bert", "x", second)


def test_what_an_artifact_cannot_be(tmp_path):
    writer = ArtifactWriter(tmp_path / "A", manifest())
    writer.rank("search", "exact", RUN)
    with pytest.raises(ValueError, match="cannot hold complex64"):
        writer.append("bert", "x", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(ValueError, match="names no probe 'brt'"):
        writer.append("brt", "x", torch.zeros(2))
    with pytest.raises(ValueError, match="not printable"):
        writer.append("bert", "x\n", torch.zeros(2))
    with pytest.raises(ValueError, match="is complete already"):
        writer.append("search", "exact", torch.zeros(2))
    with pytest.raises(ValueError, match="written once"):
        writer.rank("search", "exact", RUN)
    with pytest.raises(ValueError, match="cannot stand in a run file"):
        writer.rank("search", "other", {"a\tb": {"d": 1.0}})
    with pytest.raises(ValueError, match="holds no slash"):
        ArtifactWriter(tmp_path / "B", manifest(probes={"a/b": {}}))


def test_a_gradient_and_a_transpose_are_no_obstacle(capture):
    tensor = torch.arange(6.0).reshape(2, 3).requires_grad_()
    reader = capture("A", {"bert/x": tensor.T})
    assert reader.tensor(reader.find("bert/x")).tolist() == [[0, 3], [1, 4], [2, 5]]


# A capture that did not end


def test_a_capture_that_fails_says_that_it_is_incomplete(tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"), ArtifactWriter(tmp_path / "A", manifest()) as writer:
        writer.append("bert", "x", torch.zeros(2))
        raise RuntimeError("out of memory")
    with pytest.raises(ArtifactError, match=r"A: the capture is incomplete, no probe of it ended; capture again"):
        ArtifactReader(tmp_path / "A")
    (path,) = (tmp_path / "A" / "tensors").iterdir()
    with pytest.raises(Exception, match="header"):
        load_file(path)


def test_the_probes_that_ended_are_there_where_a_capture_did_not(tmp_path):
    with pytest.raises(KeyboardInterrupt), ArtifactWriter(tmp_path / "A", manifest()) as writer:
        writer.append("bert", "x", torch.ones(2))
        writer.keep("bert")
        with pytest.raises(ValueError, match="is complete already"):
            writer.append("bert", "x", torch.ones(2))
        writer.rank("search", "exact", RUN)
        raise KeyboardInterrupt
    reader = ArtifactReader(tmp_path / "A")
    assert not reader.manifest.complete and list(reader.manifest.probes) == ["bert"]
    assert [item.label for item in reader.manifest.artifacts] == ["bert/x"]
    assert reader.tensor(reader.find("bert/x")).tolist() == [1, 1]
    with ArtifactWriter(tmp_path / "A", manifest()):  # and may be replaced
        pass


def test_a_killed_capture_is_incomplete_and_may_be_replaced(tmp_path):
    code = (
        "import os; from pathlib import Path; from fmbench.drivers.fidelity.writer import ArtifactWriter\n"
        "from tests.drivers.fidelity.conftest import manifest\n"
        f"writer = ArtifactWriter(Path({str(tmp_path / 'A')!r}), manifest())\n"
        "writer.rank('search', 'exact', {}); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == -9
    with pytest.raises(ArtifactError, match="incomplete"):
        ArtifactReader(tmp_path / "A")
    with ArtifactWriter(tmp_path / "A", manifest()) as writer:
        writer.append("bert", "y", torch.zeros(2))
    assert [path.name for path in (tmp_path / "A" / "tensors").iterdir()] == ["0000-bert-y.safetensors"]


def test_a_folder_with_anything_else_is_left_alone(capture, tmp_path):
    capture("A", {"bert/x": torch.zeros(2)})
    with pytest.raises(UsageError, match="A: is not empty; name a new folder"):
        ArtifactWriter(tmp_path / "A", manifest())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("keep")
    with pytest.raises(UsageError, match="mine: is not empty"):
        ArtifactWriter(tmp_path / "mine", manifest())
    with pytest.raises(UsageError, match="notes: cannot be made"):
        ArtifactWriter(tmp_path / "mine" / "notes", manifest())
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / FILE).write_text('{"complete": false, "artifacts": []}')
    (tmp_path / "half" / "notes").write_text("keep")
    with pytest.raises(UsageError, match="half: is not empty"):
        ArtifactWriter(tmp_path / "half", manifest())
    assert ArtifactReader(tmp_path / "A").find("bert/x").rows == 2


def test_a_disk_that_is_full_is_one_line(tmp_path, monkeypatch):
    writer = ArtifactWriter(tmp_path / "A", manifest())
    writer.append("bert", "x", torch.zeros(2))
    (tmp_path / "A" / "tensors" / "0000-bert-x.safetensors").unlink()
    (tmp_path / "A" / "tensors" / "0000-bert-x.safetensors").symlink_to("/dev/full")
    with pytest.raises(FmbenchError, match=r"0000-bert-x\.safetensors: not written \(No space left on device\)"):
        writer.append("bert", "x", torch.zeros(2))


# What is broken


def damage(path, at, data=None):
    with path.open("r+b") as file:
        file.seek(at)
        file.truncate() if data is None else file.write(data)


@pytest.fixture
def reader(capture):
    return capture("A", {"bert/x": torch.arange(3000.0), "search/exact": RUN}, qrels={"q1": {"d1": 1}})


@pytest.mark.parametrize(
    ("at", "data", "said"),
    [
        (5000, b"\x01", r"is damaged \(its checksum is not the manifest's\); capture again"),
        (9000, None, "is damaged.*; capture again"),
        (2, b"\xff", "is damaged.*; capture again"),
        (10, b"xx", "is damaged.*; capture again"),
    ],
)
def test_a_damaged_tensor_is_named_when_it_is_read(at, data, said, reader):
    artifact = reader.find("bert/x")
    damage(reader.folder / artifact.file, at, data)
    again = ArtifactReader(reader.folder)  # opening reads the manifest only
    for read in (again.verify, again.tensor):
        with pytest.raises(ArtifactError, match=rf"0000-bert-x\.safetensors: {said}"):
            read(artifact)


def test_another_tensor_in_its_place_is_damage(reader):
    artifact = reader.find("bert/x")
    for tensors in (
        {"bert/x": torch.zeros(2, 1500)},
        {"bert/y": torch.zeros(3000)},
        {"a": torch.zeros(3000), "b": torch.zeros(1)},
    ):
        save_file(tensors, reader.folder / artifact.file)
        with pytest.raises(ArtifactError, match="not the tensor that the manifest names"):
            reader.verify(artifact)


def test_a_missing_or_damaged_file_is_named(reader):
    for artifact, read in ((reader.find("bert/x"), reader.verify), (reader.find("search/exact"), reader.run)):
        (reader.folder / artifact.file).unlink()
        with pytest.raises(ArtifactError, match=f"{artifact.file}: is missing; capture again"):
            read(artifact)
    damage(reader.folder / "qrels.tsv", 0, b"x")
    with pytest.raises(ArtifactError, match=r"qrels\.tsv: is damaged"):
        reader.qrels()
    with pytest.raises(ArtifactError, match=r"has no artifact bert/y; did you mean bert/x\?"):
        reader.find("bert/y")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 0}, "artifacts of version 0; this fmbench reads 1: capture again"),
        ({"version": 2}, "artifacts of version 2; this fmbench reads 1: upgrade it"),
        ({"version": None}, "it has no version"),
        ({"complete": False, "artifacts": []}, "the capture is incomplete"),
        ({"artifacts": None}, "is no manifest of a capture"),
        ({"artifacts": [{}]}, "is no manifest of a capture"),
        ({"surprise": 1}, "is no manifest of a capture"),
        ({"probes": []}, "probes is no dict"),
    ],
)
def test_a_manifest_that_is_none_is_refused(change, said, reader):
    path = reader.folder / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError, match=said):
        ArtifactReader(reader.folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": "../../etc/passwd"}, "outside the folder"),
        ({"file": "/etc/passwd"}, "outside the folder"),
        ({"dtype": "float128"}, "is a tensor of float128"),
        ({"kind": "code"}, "is a code"),
        ({"shape": []}, "has no shape"),
        ({"shape": [-1]}, "has no shape"),
        ({"probe": "search", "name": "exact"}, "two artifacts share a name"),
    ],
)
def test_a_manifest_cannot_lead_astray(change, said, reader):
    path = reader.folder / FILE
    data = json.loads(path.read_text())
    data["artifacts"][0].update(change)
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match=said):
        ArtifactReader(reader.folder)


def test_a_folder_that_is_no_capture(tmp_path):
    with pytest.raises(ArtifactError, match=r"no manifest\.json in it: name a folder that `fmbench fidelity capture"):
        ArtifactReader(tmp_path)
    with pytest.raises(ArtifactError, match="nothing: no such folder"):
        ArtifactReader(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="file: no such folder"):
        ArtifactReader(tmp_path / "file")
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json: is damaged .*; capture again"):
        ArtifactReader(tmp_path)
    assert issubclass(ArtifactError, UsageError)


def test_a_folder_takes_one_writer_at_a_time(tmp_path):
    with ArtifactWriter(tmp_path / "A", manifest()) as writer:
        writer.append("bert", "x", torch.zeros(2, 3))
        for refused in (lambda: ArtifactWriter(tmp_path / "A", manifest()), lambda: check_free(tmp_path / "A")):
            with pytest.raises(UsageError, match=r"A: another run writes to it \(process \d+\); name another folder"):
                refused()
    assert len(ArtifactReader(tmp_path / "A").manifest.artifacts) == 1


def test_discarding_a_capture_leaves_everything_else(tmp_path):
    with ArtifactWriter(tmp_path / "A", manifest()) as writer:
        writer.append("bert", "x", torch.zeros(2, 3))
        with pytest.raises(UsageError, match="another run writes to it"):
            discard(tmp_path / "A")
    (tmp_path / "A" / "notes").write_text("keep")
    discard(tmp_path / "A")
    assert [path.name for path in (tmp_path / "A").iterdir()] == ["notes"]


def test_a_file_system_without_locks_takes_a_capture(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with ArtifactWriter(tmp_path / "A", manifest()) as writer:
        writer.append("bert", "x", torch.zeros(2, 3))
    assert ArtifactReader(tmp_path / "A").manifest.complete


def test_a_writer_that_failed_lets_the_folder_go(tmp_path):
    with pytest.raises(RuntimeError), ArtifactWriter(tmp_path / "A", manifest()):
        raise RuntimeError
    check_free(tmp_path / "A")
    check_free(tmp_path / "nothing")
    (tmp_path / "A" / "mine").write_text("")
    with pytest.raises(UsageError, match="A: is not empty; name a new folder"):
        check_free(tmp_path / "A")


@pytest.mark.parametrize("lines", ["q\td\t2\t1.0", "q\td\t1", "q\td\tx\t1.0", "q\td\t1\t2\nq\td\t2\t1"])
def test_a_ranking_of_another_hand_is_refused(lines, tmp_path):
    with pytest.raises(ArtifactError, match=r"run\.tsv:[12]: no line of a ranking"):
        parse_run(tmp_path / "run.tsv", lines)


@pytest.mark.parametrize("lines", ["q\td\t1\tnan", "q\td\t1\t1\nq\te\t2\t2", "q\td\t1\t1\nq\te\t2\t1"])
def test_a_ranking_out_of_order_is_refused(lines, tmp_path):
    with pytest.raises(ArtifactError, match="'q' is not in the order of its scores"):
        parse_run(tmp_path / "run.tsv", lines)
