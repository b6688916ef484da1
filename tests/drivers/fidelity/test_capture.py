"""`fmbench fidelity probes`, `capture`, `bisect` and `swap` on a tiny model, in this process."""

import pytest
import torch
import transformers

from fmbench import plugins
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity.arguments import Subject
from fmbench.drivers.fidelity.layers import layer_by_layer
from fmbench.drivers.fidelity.probe import GROUP, Probe, available, choose

from .conftest import SMALL, said

SMALL_XLNET = {"vocab_size": 20, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}


def test_the_same_capture_twice_is_bitwise_equal_and_exits_0(captured, fidelity):
    code, out, _ = fidelity("compare", captured("A"), captured("again"), "--fail-on", "close")
    assert code == 0
    found = said(out, "tensor", "ranking")
    assert {row["probe"] for row in found} == set(SMALL.split(","))
    assert {row["verdict"] for row in found} == {"equal"}
    assert sum(row["kind"] == "ranking" for row in found) == 4


def test_bfloat16_is_different_from_the_first_layer_on(captured, fidelity):
    a, b = captured("A"), captured("bf16", "--model:dtype@", "torch.bfloat16")
    assert fidelity("compare", a, b, "--fail-on", "different")[0] == 1
    out = fidelity("compare", a, b)[1]
    rows = {row["artifact"]: row for row in said(out, "tensor", "ranking")}
    assert said(out, "comparison")[-1]["first"] == "hidden/embeddings"
    layers = [row["verdict"] for name, row in rows.items() if name.startswith(("hidden/layer", "bert/layer"))]
    assert layers == ["different"] * 4
    assert all(row["verdict"] == "equal" for name, row in rows.items() if name.startswith(("tokens/", "norm/")))
    changed = [row for row in rows.values() if row["kind"] == "ranking" and row["changed_queries"]]
    assert changed and all(query["query"].startswith("q") for row in changed for query in row["changed_queries"])


class Interrupted(Probe):
    name = "interrupted"
    summary = "never ends"

    def run(self, context):
        yield "half", torch.zeros(2)
        raise KeyboardInterrupt


def test_what_is_interrupted_keeps_the_probes_that_ended(folder, captured, fidelity, monkeypatch):
    reference = captured("A")
    monkeypatch.setattr(
        "fmbench.drivers.fidelity.capture.choose_probes",
        lambda arguments: [*choose(available()[0], ["tokens"]), Interrupted()],
    )
    code, out, err = fidelity("capture", "--dataset", folder / "wings", "--out", folder / "half")
    assert code == 130 and said(out, "capture")[-1]["verdict"] == "incomplete" and "partial: " in err
    code, _, err = fidelity("compare", reference, folder / "half")
    assert code == 2 and "the capture did not end; it holds tokens" in err
    code, out, err = fidelity("compare", reference, folder / "half", "--probes", "tokens")
    whole = said(out, "comparison")[-1]
    assert code == 0 and (whole["verdict"], whole["incomplete"]) == ("equal", ["half"]) and "partial: half" in err


def test_what_a_capture_holds(captured):
    reader = ArtifactReader(captured("A"))
    tensor = lambda label: reader.tensor(reader.find(label))  # noqa: E731
    tokens = tensor("tokens/passage.lengths")
    assert len(tokens) == 30 and tensor("hidden/layer.1").shape == (int(tokens.sum()), 32)  # padding is left out
    assert torch.equal(tensor("hidden/layer.1"), tensor("hidden/last"))
    lengths = tensor("normalised/passage").norm(dim=1)
    assert torch.allclose(lengths, torch.ones(30))
    assert tensor("batch/distance_from_one").shape == (5,) and tensor("batch/distance_from_one")[0] == 0
    assert tensor("remove_dense/replaced").item() == 4
    assert len(tensor("train/loss")) == 10 and tensor("train/loss")[-1] < tensor("train/loss")[0]
    assert reader.manifest.queries == 6 and reader.qrels() is not None


def test_training_and_removing_leave_the_model_as_it_was(captured):
    """`search` and `pooled` ran beside `remove_dense` and `train`; alone they give the same."""
    alone = ArtifactReader(captured("alone", probes="pooled"))
    beside = ArtifactReader(captured("A"))
    label = "pooled/passage"
    assert alone.find(label).sha256 == beside.find(label).sha256


def test_texts_from_a_file(folder, captured, fidelity, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("wing flow\n\n shock wave drag \nlift plate\n")
    code, _, err = fidelity("capture", "--texts", file, "--probes", "tokens,exact", "--out", tmp_path / "C")
    assert code == 0, err
    manifest = ArtifactReader(tmp_path / "C").manifest
    assert (manifest.text_count, manifest.queries, manifest.qrels) == (6, 3, None)
    run = ArtifactReader(tmp_path / "C").run(ArtifactReader(tmp_path / "C").find("exact/pooled"))
    others = {"0": {"1", "2"}, "1": {"0", "2"}, "2": {"0", "1"}}  # a query is a passage too, and does not find itself
    assert {query: set(found) for query, found in run.items()} == others
    code, _, err = fidelity("compare", captured("A"), tmp_path / "C")
    assert code == 2 and "cannot be compared" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--texts", "nothing.txt", "--probes", "hiden"], "--probes hiden: unknown; did you mean hidden"),
        ([], "--texts FILE or --dataset DIR"),
        (["--texts", "nothing.txt"], "--texts nothing.txt: no such file"),
        (["--texts", "latin"], "--texts latin, line 1: is no UTF-8 (invalid start byte at byte 2); save"),
        (["--texts", "nothing.txt", "--split", "train"], "--split goes with --dataset"),
        (["--texts", "nothing.txt", "--documents", "3"], "--documents goes with --dataset"),
        (["--texts", "nothing.txt", "--tokens_per_batch", "auto"], "differ from run to run"),
        (["--texts", "@", "--probes", "hidden", "--compile"], "seen; leave them out, or run without --compile"),
        (["--texts", "@", "--colbert", "nowhere"], "--colbert nowhere: no such folder; name that of a ColBERT"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, fidelity, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("wing\n")
    (tmp_path / "latin").write_bytes("nö\n".encode("latin-1"))
    words = [tmp_path / "one.txt" if word == "@" else word for word in words]
    code, _, err = fidelity("capture", "--out", tmp_path / "X", *words)
    assert code == 2 and message in err and "Errno" not in err, err


def test_a_folder_that_is_taken_is_refused_before_the_model_is_loaded(
    captured, folder, fidelity, monkeypatch, tmp_path
):
    whole = captured("A")
    monkeypatch.setattr("fmbench.drivers.fidelity.capture.Session", lambda *_: pytest.fail("the model was loaded"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    for taken in (whole, tmp_path / "mine", tmp_path / "mine" / "notes"):
        code, out, err = fidelity("capture", "--dataset", folder / "wings", "--out", taken)
        assert (code, out) == (2, "") and "name a new folder" in err, err


def test_judgements_of_documents_that_are_left_out_are_counted(folder, fidelity, tmp_path):
    words = ("--dataset", folder / "wings", "--probes", "tokens")
    for documents, warned in (("2", True), ("3", False)):
        code, _, err = fidelity("capture", *words, "--documents", documents, "--out", tmp_path / documents)
        said = "warning: 4 of 6 judgements are of documents that are left out; rankings say little"
        assert code == 0 and (said in err) == warned and ("left out" in err) == warned, err


def test_probes_are_listed_in_the_order_that_they_run(fidelity):
    code, out, _ = fidelity("probes")
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert code == 0 and names[:3] == ["tokens", "hidden", "modules"] and names[-1] == "train"
    assert set(SMALL.split(",")) | {"sort", "subtract", "token_vectors"} == set(names)


class Third(Probe):
    name = "third"
    summary = "a stranger's"

    def run(self, context):
        yield "sum", torch.tensor([len(context.texts("passage"))])


class Failing(Third):
    name = "failing"

    def run(self, context):
        yield from super().run(context)
        raise SystemExit("half\nway")


def test_a_third_party_adds_a_probe_and_a_broken_one_is_a_warning(fidelity, folder, monkeypatch, tmp_path):
    discover = plugins.discover
    make = plugins.importlib.metadata.EntryPoint
    entries = {
        "third": make("third", f"{__name__}:Third", GROUP), "broken": make("broken", "no.such.module:X", GROUP),
        "failing": make("failing", f"{__name__}:Failing", GROUP),
    }  # fmt: skip
    ours = {name: plugins.Plugin(entry) for name, entry in entries.items()}

    def and_ours(group):
        found, warnings = discover(group)
        return (found | ours if group == GROUP else found), warnings

    monkeypatch.setattr(plugins, "discover", and_ours)
    code, out, err = fidelity("probes")
    assert code == 0 and "third" in out and "plug-in 'broken'" in err
    words = ("--dataset", folder / "wings", "--documents", "7", "--probes", "third", "--out", tmp_path / "T")
    code, _, err = fidelity("capture", *words)
    assert code == 0, err
    reader = ArtifactReader(tmp_path / "T")
    assert reader.tensor(reader.find("third/sum")).item() == 7
    code, _, err = fidelity("capture", *words[:5], "third,failing", "--out", tmp_path / "F")
    assert code == 1 and "--probes failing (unknown distribution): SystemExit: half way" in err


# Swapping


def test_swapping_the_same_build_drifts_nowhere(captured, folder, fidelity):
    code, out, err = fidelity("swap", captured("A"), captured("again"), "--dataset", folder / "wings")
    drifts = said(out, "swap")
    assert code == 0 and "this is not what made" not in err
    assert len(drifts) == 6 and {drift["verdict"] for drift in drifts} == {"equal"}
    assert {(drift["reference"], drift["variant"]) for drift in drifts} == {("A", "again")}


def test_swapping_parts_the_drift(captured, folder, fidelity):
    a, b = captured("A"), captured("bf16", "--model:dtype@", "torch.bfloat16")
    words = ("swap", a, b, "--dataset", folder / "wings", "--model:dtype@", "torch.bfloat16")
    code, out, err = fidelity(*words)
    assert code == 0 and "this is not what made" not in err
    rankings = err.partition("Queries whose ranking changed most")[0]
    assert rankings.count("search drift") == rankings.count("index drift") == 2
    assert [drift["part"] for drift in said(out, "swap")] == ["both", "search", "index"] * 2
    assert "this is not what made" in fidelity(*words[:-2])[2]


def test_swapping_needs_index_and_search_alone(captured, folder, fidelity):
    few = captured("few", probes="index,search")
    words = ("--dataset", folder / "wings")
    code, out, err = fidelity("swap", captured("A"), few, *words)
    assert code == 0 and {drift["verdict"] for drift in said(out, "swap")} == {"equal"}, err
    code, _, err = fidelity("swap", few, captured("alone", probes="pooled"), *words)
    assert code == 2 and "alone: was captured without the probe index" in err


def test_swapping_refuses_other_texts(captured, folder, fidelity):
    words = ("swap", captured("A"), captured("again"), "--dataset", folder / "wings", "--documents", "9")
    code, _, err = fidelity(*words)
    assert code == 2 and "the texts are not those of" in err


def test_texts_are_plain_lines(fidelity, tmp_path):
    file = tmp_path / "texts"
    file.write_text('{"_id": "1", "text": "wing"}\n')
    code, _, err = fidelity("capture", "--texts", file, "--out", tmp_path / "X")
    assert code == 2 and "holds JSON; write one plain text a line" in err, err
    file.write_bytes(b"\xef\xbb\xbfwing\xe2\x80\xa8flow\r\nlift\n")
    assert Subject.from_file(file).passages == ["wing\u2028flow", "lift"]


def test_judged_documents_and_others_are_captured(folder, fidelity, tmp_path):
    words = ("--dataset", folder / "wings", "--probes", "tokens", "--other_documents", "4")
    code, _, err = fidelity("capture", *words, "--out", tmp_path / "part")
    assert code == 0 and "judgements are of documents" not in err, err
    assert ArtifactReader(tmp_path / "part").manifest.text_count == 16
    code, _, err = fidelity("capture", *words, "--documents", "3", "--out", tmp_path / "both")
    assert code == 2 and "--documents takes the first, --other_documents those that are judged" in err


@pytest.mark.parametrize("rows", [2, 3])
def test_layers_that_hand_on_the_tokens_first(rows):
    """XLNet's do. A batch of as many texts as tokens must not be mistaken."""
    xlnet = transformers.AutoModel.from_config(transformers.XLNetConfig(**SMALL_XLNET)).eval()
    inputs = {"input_ids": torch.arange(3 * rows).reshape(rows, 3), "attention_mask": torch.ones(rows, 3, dtype=int)}
    inputs["attention_mask"][0, 2] = 0
    with torch.no_grad():
        found = dict(layer_by_layer(xlnet, inputs, inputs["attention_mask"].bool()))
        expected = xlnet(**inputs).last_hidden_state[inputs["attention_mask"].bool()]
    assert list(found) == ["embeddings", "layer.0", "layer.1", "last"]
    assert torch.equal(found["last"], expected) and torch.equal(found["layer.1"], expected)


def test_a_capture_that_cannot_be_replaced_is_not_deleted(captured, fidelity, folder):
    (captured("kept", probes="tokens") / "notes.txt").touch()
    words = ("--dataset", folder / "wings", "--probes", "tokens", "--out", folder / "kept", "--replace")
    code, _, err = fidelity("capture", *words)
    assert code == 2 and f"{folder / 'kept'}: holds notes.txt, which is no part of a capture; move it away" in err
    assert ArtifactReader(folder / "kept").manifest.complete
    (folder / "kept" / "notes.txt").unlink()
    assert fidelity("capture", *words)[0] == 0
