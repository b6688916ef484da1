"""`fmbench distill`: the steps on a tiny teacher and a tiny collection, from files to a pair that is evaluated."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmbench.claim import one_writer
from fmbench.drivers.distill import checkpoint
from fmbench.drivers.distill.cli import main
from fmbench.drivers.retrieve.cli import main as retrieve
from fmbench.process.workloads.retrieval import JUDGING
from tests.drivers.distill import tiny
from tests.tiny_model import write_model
from tests.torch_state import torch_restored

from ..conftest import of, parsed


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A teacher, a collection, and the teacher's step already done."""
    root = tmp_path_factory.mktemp("distill")
    found = SimpleNamespace(
        root=root,
        model=write_model(root / "tiny-teacher"),
        data=tiny.write_collection(root / "tiny"),
        work=root / "work",
    )
    with torch_restored():
        assert run(found, "teacher", *TEXTS, "--teacher_dir", found.work) == 0
    return found


TEXTS = ("--split", "train", "--held_out_split", "test", "--pseudo_queries", "titles,sentences,spans")


def run(place: SimpleNamespace, step: str, *rest: object) -> int:
    data = () if step == "align" else ("--dataset", place.data)
    common = ("--platform", "cpu", "--threads", 1, "--model_name", place.model)
    return main([str(word) for word in (step, *common, *data, *rest)])


def align(place: SimpleNamespace, folder: Path, *rest: object) -> int:
    quick = ("--epochs", 3, "--batch_size", 16, "--learning_rate", 0.01, "--evaluate_every", 5)
    return run(place, "align", "--teacher_dir", place.work, "--output_dir", folder, *quick, *rest)


def test_the_teacher_encodes_no_held_out_query(place):
    rows = [json.loads(line) for line in (place.work / "texts.jsonl").read_text().splitlines()]
    texts = [row["text"] for row in rows]
    queries = {row["_id"]: row["text"] for row in map(json.loads, (place.data / "queries.jsonl").open())}
    assert queries["q1"] in texts
    assert queries["q0"] not in texts  # it says what q20 says, which is held out
    assert not {queries[f"q{number}"] for number in range(20, 30)} & set(texts)
    facts = json.loads((place.work / "teacher.json").read_text())
    assert facts["counts"]["queries"] == 19
    assert facts["dropped"]["held_out"] == 1
    assert sum(facts["counts"].values()) == len(rows) == len({row["_id"] for row in rows})
    assert set(facts["counts"]) == {"queries", "titles", "sentences", "spans"}


STUDENTS = {
    "lookup": ("--student", "lookup", "--embeddings", "free"),
    "one-layer": ("--student", "transformer", "--layers", "1"),
    "random": ("--student", "bert", "--depth", 1, "--hidden_size", 16, "--heads", 2, "--embeddings", "own",
               "--projection", "linear"),
    "gru": ("--student", "gru", "--student_length", 16, "--ff", 1, "--mixed_precision", "bfloat16"),
}  # fmt: skip


@pytest.fixture(scope="module")
def students(place: SimpleNamespace) -> SimpleNamespace:
    with torch_restored():
        for name, words in STUDENTS.items():
            assert align(place, place.root / name, *words) == 0
    return place


def test_students_are_evaluated_beside_their_teacher(students, capsys):
    place = students
    models = ",".join(str(place.root / name / "query") for name in STUDENTS)
    assert run(place, "evaluate", "--query_model", models, "--latency_queries", 20) == 0
    lines = parsed(capsys.readouterr().out)
    rows = [line.data for line in of("DST", lines)]
    assert [row["query_model"] for row in rows] == ["tiny-teacher", *STUDENTS]
    assert [row["stage"] for row in rows] == ["reference", *["evaluate"] * 4]
    reference = rows[0]
    assert reference["kept"]["ndcg_cut_10"]["share"] == 1
    for row, pair in zip(rows[1:], of("PAIR", lines), strict=True):
        assert row["dataset"] == "tiny"
        share = row["metrics"]["recall_10"] / reference["metrics"]["recall_10"]
        assert row["kept"]["recall_10"]["share"] == pytest.approx(share)
        assert (pair.data["a"], pair.data["b"]) == ("tiny-teacher", row["query_model"])
        assert pair.data["ratio"] == row["pair"]["ratio"]
        assert len(row["nanoseconds"]) == 20
        settled = sorted(row["nanoseconds"][4:])
        assert row["latency_ms"]["p50"] == pytest.approx((settled[7] + settled[8]) / 2e6, abs=1e-6)
        assert (row["after_last_word_ms"] is None) == (row["query_model"] != "gru")
        assert row["computed_by"] == ("numpy" if row["query_model"] == "lookup" else "cpu")
        assert row["parameters"] > 0


def test_a_teacher_is_judged_as_retrieval_judges_it(place, capsys):
    """What its figures depend on stands in both lines: else no table holds them together."""
    assert run(place, "evaluate", "--query_model", place.model, "--latency_queries", 10) == 0
    teacher = of("DST", parsed(capsys.readouterr().out))[0].data
    words = ["evaluate", "--platform", "cpu", "--threads", 1, "--model_name", place.model, "--dataset", place.data]
    assert retrieve([str(word) for word in words]) == 0
    (judged,) = of("IRM", parsed(capsys.readouterr().out))
    assert {key: teacher.get(key) for key in (*JUDGING, "metrics")} == {
        key: judged.data.get(key) for key in (*JUDGING, "metrics")
    }


def test_the_frontier_has_every_student(students, capsys):
    place = students
    logs = [place.root / "evaluate.log", place.root / "again.log"]
    for log in logs:
        run(place, "evaluate", "--query_model", place.root / "lookup" / "pair", "--latency_queries", 10)
        log.write_text(capsys.readouterr().out)
    assert main(["frontier", *map(str, logs), "--plot", str(place.root / "frontier.svg")]) == 0
    table = capsys.readouterr().out
    assert table.startswith("tiny, ndcg_cut_10\n")
    assert table.count("lookup") == 2
    assert "lookup" in (place.root / "frontier.svg").read_text()


def test_a_query_in_service_gives_the_encoders_vector(students):
    from fmbench.backend import find
    from fmbench.drivers.distill.query_encoder import QueryEncoder, load
    from fmbench.encoder import Encoder, EncoderPlan
    from fmbench.options import Arguments

    arguments = Arguments(platform="cpu", model_class="AutoModel", model_name=str(students.model))
    encoder = Encoder.load(arguments)
    platform = find("cpu")
    platform.setup(arguments)
    service = QueryEncoder(*load(EncoderPlan.of(arguments)), platform, arguments)
    texts = tiny.queries()
    assert np.abs(encoder.encode(texts, "query") - service.many(texts)).max() < 1e-6
    assert np.abs(service.many(texts[:5]) - np.stack([service(text) for text in texts[:5]])).max() < 1e-6


def test_contrast_goes_on_with_a_student(students, capsys):
    place = students
    negatives = place.root / "negatives.tsv"
    rows = [f"q{query}\td{(7 * query + number) % 60}\t0.5" for query in range(20) for number in range(5)]
    negatives.write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    scored_otherwise = place.root / "otherwise.tsv"
    scored_otherwise.write_text(negatives.read_text().replace("0.5", "7"))
    query = place.root / "lookup" / "query"
    words = ("--query_model", query, "--negatives", f"{negatives},{scored_otherwise}", "--negatives_per_query", 3,
             "--held_out_split", "test",
             "--epochs", 4, "--batch_size", 4, "--learning_rate", 0.01)  # fmt: skip
    assert run(place, "contrast", *words, "--output_dir", place.root / "frozen") == 0
    captured = capsys.readouterr()
    lines = [line.data for line in of("DST", parsed(captured.out))]
    assert lines[-1]["stage"] == "contrast"
    assert lines[-1]["steps"] == 4 * (18 // 4)  # 20 train queries: one is held out by its text, one shows the quality
    assert "1 queries have no hard negative, or are held out" in captured.err
    assert lines[-1]["ended"] == "all steps done"
    assert (place.root / "frozen" / "pair" / "router_config.json").is_file()
    assert not (place.root / "frozen" / "document").exists()
    assert run(place, "contrast", *words, "--train_passages", "--output_dir", place.root / "both") == 0
    from safetensors.numpy import load_file

    before = load_file(place.model / "model.safetensors")
    after = load_file(place.root / "both" / "document" / "0_Transformer" / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    assert np.abs(before[name] - after[name]).max() > 0


def test_the_log_says_what_was_trained_on_and_how(students, tmp_path, capsys):
    pytest.importorskip("bm25s")
    words = ("--query_model", students.root / "lookup" / "query", "--bm25_negatives", 5, "--negatives_per_query", 3,
             "--held_out_split", "test", "--batch_size", 4, "--gradient_accumulation_steps", 2, "--warmup_steps",
             3)  # fmt: skip
    assert run(students, "contrast", *words, "--output_dir", tmp_path / "lexical") == 0
    training = [line.data for line in of("DST", parsed(capsys.readouterr().out))][-1]["training"]
    assert training["bm25"] == {"negatives": 5, "method": "lucene", "k1": 0.9, "b": 0.4}
    asked = {"batch_size": 4, "gradient_accumulation_steps": 2, "warmup_steps": 3, "mixed_precision": None, "epochs": 3}
    assert asked.items() <= training.items()  # what was not given too


def test_every_folder_that_retrieval_takes_is_a_teacher_and_a_query_encoder(place, tmp_path, capsys):
    """Two poolings, a prompt that is not pooled, dense layers, a layer norm, fewer dimensions."""
    models = pytest.importorskip("sentence_transformers.models")
    library = pytest.importorskip("sentence_transformers")
    torch.manual_seed(4)
    modules = [
        models.Transformer(str(place.model), max_seq_length=20),
        models.Pooling(32, pooling_mode=("mean", "max"), include_prompt=False),
        models.Dense(64, 12, activation_function=torch.nn.GELU()),
        models.LayerNorm(12),
        models.Normalize(),
        models.Dense(12, 10, bias=False, activation_function=torch.nn.Identity()),
    ]
    rich = SimpleNamespace(**{**vars(place), "model": tmp_path / "rich", "work": tmp_path / "work"})
    prompts = {"query": "wing flow ", "document": "heat "}
    library.SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(rich.model))
    root = rich.model / "config_sentence_transformers.json"
    root.write_text(json.dumps({**json.loads(root.read_text()), "truncate_dim": 8}))
    assert run(rich, "teacher", *TEXTS, "--teacher_dir", rich.work) == 0
    for name in ("one-layer", "gru"):
        assert align(rich, tmp_path / name, *STUDENTS[name], "--embeddings", "free") == 0
    capsys.readouterr()
    encoders = ",".join(
        str(folder) for folder in (rich.model, tmp_path / "one-layer" / "pair", tmp_path / "gru" / "query")
    )
    assert run(rich, "evaluate", "--query_model", encoders, "--latency_queries", 10) == 0
    found = {line.data["query_model"]: line.data for line in of("DST", parsed(capsys.readouterr().out))}
    assert found["rich"]["kept"]["ndcg_cut_10"]["share"] == 1  # the teacher's own folder gives the teacher's vectors
    assert found.keys() == {"rich", "one-layer", "gru"}
    texts = tiny.queries()[:20]
    pair = library.SentenceTransformer(str(tmp_path / "one-layer" / "pair"), device="cpu", truncate_dim=8)
    whole = library.SentenceTransformer(str(rich.model), device="cpu", truncate_dim=8)
    assert np.abs(pair.encode_document(texts) - whole.encode_document(texts)).max() < 1e-5


@pytest.mark.parametrize("left_out", [("modules.json", "sentence_bert_config.json"), ()])
def test_a_plain_transformer_is_a_teacher_too_and_the_command_line_says_how_to_pool(left_out, place, tmp_path):
    shutil.copytree(place.model, tmp_path / "plain")
    for name in left_out:
        (tmp_path / "plain" / name).unlink()
    plain = SimpleNamespace(**{**vars(place), "model": tmp_path / "plain", "work": tmp_path / "work"})
    pooled = ("--pooling", "cls", "--query_max_len", 32, "--passage_max_len", 32)
    assert run(plain, "teacher", *TEXTS, "--teacher_dir", plain.work, *pooled) == 0
    assert align(plain, tmp_path / "out", "--student", "transformer", *pooled) == 0
    sentence_transformers = pytest.importorskip("sentence_transformers")
    pair = sentence_transformers.SentenceTransformer(str(tmp_path / "out" / "pair"), device="cpu")
    from fmbench.encoder import Encoder, Recipe
    from fmbench.options import Arguments

    arguments = Arguments(platform="cpu", model_class="AutoModel", model_name=str(plain.model))
    encoder = Encoder.load(arguments, Recipe(pooling=("cls",)))
    texts = tiny.queries()[:20]
    assert np.abs(encoder.encode(texts, "passage") - pair.encode_document(texts)).max() < 1e-5


def test_a_teacher_of_other_weights_is_refused(place, tmp_path, capsys):
    other = SimpleNamespace(**{**vars(place), "model": write_model(tmp_path / "other", seed=2)})
    assert align(other, tmp_path / "out", "--student", "lookup") == 2
    assert "holds the vectors of tiny-teacher" in capsys.readouterr().err


def test_a_teacher_of_another_configuration_is_refused(place, tmp_path, capsys):
    folder = shutil.copytree(place.model, tmp_path / "tiny-teacher")
    other = SimpleNamespace(**{**vars(place), "model": folder})
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    assert align(other, tmp_path / "out", "--student", "lookup") == 2
    assert "which is not this teacher: the configuration is another now; run" in capsys.readouterr().err


def test_dimensions_that_differ_are_refused_and_the_projection_named(place, tmp_path, capsys):
    words = ("--student", "bert", "--hidden_size", 16, "--heads", 2, "--embeddings", "own")
    assert align(place, tmp_path / "out", *words) == 2
    assert "16 dimensions and the teacher's 32: --projection linear" in capsys.readouterr().err


def test_a_student_larger_than_its_teacher_is_a_warning(place, tmp_path, capsys):
    words = ("--student", "bert", "--depth", 6, "--heads", 2)
    assert align(place, tmp_path / "out", *words) == 0
    assert "warning: the student has" in capsys.readouterr().err


def test_queries_that_are_all_empty_are_refused(place, tmp_path, capsys):
    data = tmp_path / "empty"
    tiny.write_collection(data)
    tiny.write_rows(data / "queries.jsonl", [{"_id": f"q{number}", "text": " "} for number in range(30)])
    empty = SimpleNamespace(**{**vars(place), "data": data})
    assert run(empty, "teacher", "--split", "train", "--teacher_dir", tmp_path / "work") == 2
    assert "nothing to train on" in capsys.readouterr().err


def test_what_a_folder_lacks_is_said_before_any_model_is_loaded(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fmbench.drivers.distill.evaluate.Encoder", None)
    assert run(place, "evaluate", "--query_model", tmp_path / "nowhere") == 2
    assert f"{tmp_path}/nowhere: no such folder" in capsys.readouterr().err
    shutil.copytree(place.model, tmp_path / "torn")
    (tmp_path / "torn" / "1_Pooling" / "config.json").unlink()
    assert run(place, "evaluate", "--query_model", tmp_path / "torn") == 2
    assert "1_Pooling/config.json is missing; the folder is not complete" in capsys.readouterr().err
    shutil.copytree(place.model, tmp_path / "far")
    (tmp_path / "far" / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "manhattan"}')
    far = SimpleNamespace(**{**vars(place), "model": tmp_path / "far"})
    assert run(far, "evaluate", "--query_model", place.model) == 2
    assert "similarity_fn_name is manhattan" in capsys.readouterr().err


ALIGN = ["align", "--platform", "cpu", "--model_name", "x", "--teacher_dir", "t", "--output_dir", "o"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["teach"], "unknown command 'teach'; did you mean teacher?"),
        (["align", "--platform", "cpu", "--model_name", "x", "--student", "lookup"], "--teacher_dir"),
        (["evaluate", "--platform", "cpu", "--model_name", "x", "--query_model", "y"], "--dataset DIR"),
        ([*ALIGN, "--student", "lookup", "--ff", "1"], "--ff: feed-forward blocks follow a gru or lstm, not a lookup"),
        ([*ALIGN, "--student", "gru", "--warmup", "0.1", "--warmup_steps", "9"], "not allowed with argument --warmup"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("step", ["align", "contrast"])
def test_a_run_that_was_trained_is_not_trained_over(place, students, step, tmp_path, capsys, monkeypatch):
    for name in ("train.load_transformer", "contrast.load"):  # it is refused before any model is read
        monkeypatch.setattr(f"fmbench.drivers.distill.{name}", None)
    folder = place.root / "lookup"
    before = (folder / "checkpoint.safetensors").read_bytes()
    words = STUDENTS["lookup"] if step == "align" else ("--query_model", folder / "query", "--split", "train")
    where = ("--teacher_dir", place.work) if step == "align" else ()
    assert run(place, step, *where, *words, "--output_dir", folder) == 2
    assert f"--output_dir {folder}: holds a training run; --resume goes on with it" in capsys.readouterr().err
    assert (folder / "checkpoint.safetensors").read_bytes() == before


def test_two_runs_do_not_train_into_one_folder(place, tmp_path, capsys):
    for folder, step in ((tmp_path, "align"), (place.work, "teacher")):
        option = "--teacher_dir" if step == "teacher" else "--output_dir"
        with one_writer(folder, option):
            more = (folder, *STUDENTS["lookup"])
            assert (align(place, *more) if step == "align" else run(place, step, *TEXTS, option, folder)) == 2
        assert f"{option} {folder}: another run writes to it (process" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_train_what_one_trains(place, students, tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m",
             "fmbench", "distill", "align", "--platform", "cpu", "--threads", "1", "--model_name", place.model,
             "--teacher_dir", place.work, "--output_dir", tmp_path, *STUDENTS["lookup"], "--epochs", "3",
             "--batch_size", "16", "--learning_rate", "0.01", "--evaluate_every", "5", "--loss", "kl"]  # fmt: skip
    with subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as torchrun:  # fmt: skip
        try:
            output, _ = torchrun.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(torchrun.pid, signal.SIGKILL)  # its children too
            raise
    assert torchrun.returncode == 0
    assert output.count("FMWORK LOG") == 1  # the others are silent
    alone = tmp_path / "alone"
    assert align(place, alone, *STUDENTS["lookup"], "--loss", "kl") == 0
    two, one = (checkpoint.read(folder / "checkpoint.safetensors")[0] for folder in (tmp_path, alone))
    difference = two["model.table.weight"] - one["model.table.weight"]
    assert float(difference.abs().max()) < 1e-4


def test_a_query_is_no_negative_of_its_own():
    from fmbench.drivers.distill.contrast import drawn

    mined = {"q": {"q": 0.9, "d1": 0.8, "d2": 0.7, "d3": 0.6}}
    ((query, positive, negatives),) = drawn({"q": "text"}, {"q": {"d1"}}, [mined], 2, 0)
    assert (query, positive, set(negatives)) == ("q", "d1", {"d2", "d3"})


def test_a_teacher_without_a_split_takes_texts_of_the_corpus_alone(place, tmp_path, capsys):
    held_out = ("--held_out_split", "test")
    assert run(place, "teacher", *held_out, "--pseudo_queries", "titles", "--teacher_dir", tmp_path / "work") == 0
    assert json.loads((tmp_path / "work" / "teacher.json").read_text())["counts"].keys() == {"titles"}
    assert run(place, "teacher", *held_out, "--teacher_dir", tmp_path / "none") == 2
    assert "nothing to train on is named: queries with --split train" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "work" / "teacher.json").stat().st_mode & 0o777}
