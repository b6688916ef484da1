"""`fmbench quality`: scores of local tasks, equal to MTEB's own where it has the same, and what is refused."""

import json

import pytest

from fmbench import lines
from fmbench.claim import one_writer
from fmbench.cli import main
from fmbench.console import Progress
from fmbench.tasks.scoring import METRICS
from tests.text_models import add_modules, save_bert

pytest.importorskip("mteb", reason="pip install 'fmbench[mteb]'")

WORDS = ["wing", "heat", "flow", "lift", "drag", "jet", "gas", "air"]


def text(number: int, words: int = 4) -> str:
    return " ".join(WORDS[(number * 7 + place * (number + 3)) % len(WORDS)] for place in range(words))


PAIRS = [(text(number), text(number + 1 + number % 3), number % 6) for number in range(24)]
LABELLED = [(f"{WORDS[number % 2]} {text(number)}", "xy"[number % 2]) for number in range(24)]
FILES = {
    "pairs.tsv": "sentence1\tsentence2\tscore\n" + "".join(f"{a}\t{b}\t{score}\n" for a, b, score in PAIRS),
    "same.jsonl": "".join(json.dumps({"a": a, "b": b, "label": int(score > 3)}) + "\n" for a, b, score in PAIRS),
    "topics.csv": "text,label\n" + "".join(f"{one},{label}\n" for one, label in LABELLED),
    "again.jsonl": "".join(
        json.dumps({"query": a, "positive": [b], "negative": [text(number + 5) for number in range(3)]}) + "\n"
        for a, b, _ in PAIRS[:6]
    ),
    "other.csv": "sentence1,sentence2\n" + "".join(f"{a},{a} air\n" for a, _, _ in PAIRS[:8]),
}
TASKS = """
tasks:
  - {name: pairs, type: sts, data: pairs.tsv}
  - {name: same, type: pair_classification, data: same.jsonl, columns: {sentence1: a, sentence2: b}}
  - {name: topics, type: classification, data: topics.csv, train: topics.csv}
  - {name: groups, type: clustering, data: topics.csv}
  - {name: again, type: reranking, data: again.jsonl}
  - {name: other, type: bitext, data: other.csv}
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return add_modules(save_bert(tmp_path_factory.mktemp("quality") / "model"))


@pytest.fixture
def tasks(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "tasks.yaml").write_text(TASKS)
    return tmp_path / "tasks.yaml"


@pytest.fixture
def quality(model, capfd):
    """quality(*words) -> exit code, QUA lines, what was said."""

    def run(*words: object):
        code = main(["quality", "--platform", "cpu", "--model_name", str(model), "--threads", "1", *map(str, words)])
        out, err = capfd.readouterr()
        found = [lines.parse_line(text, ("QUA",)) for text in out.splitlines()]
        return code, [line.data for line in found if lines.is_json(line, "QUA")], err

    return run


def test_every_type_has_a_score_with_its_interval(quality, tasks):
    code, found, err = quality("--tasks", tasks)
    assert code == 0 and [one["type"] for one in found] == list(METRICS)
    for one in found:
        low, high = one["interval"]
        assert -1 <= low <= one["score"] <= high <= 1 and one["metric"] == METRICS[one["type"]]
    assert "v_measure" in err and "95% interval" in err  # the table


def test_the_same_configuration_changes_nothing_and_another_is_held_against_it(quality, tasks):
    code, found, _ = quality("--tasks", tasks, "--vs", "--threads 1", "--vs", "--pooling cls")
    assert code == 0
    same = [one for one in found if one["variant"] == "B"]
    assert [(one["change"], one["change_interval"]) for one in same] == [(0.0, [0.0, 0.0])] * 6
    first = {one["task"]: one["score"] for one in found if one["variant"] == "A"}
    other = {one["task"]: one for one in found if one["variant"] == "C"}
    assert all(one["change"] == one["score"] - first[name] for name, one in other.items())
    low, high = other["pairs"]["change_interval"]
    assert low < other["pairs"]["change"] < high


def test_each_configuration_says_what_only_its_graph_tells(model, tasks, capfd):
    pytest.importorskip("onnxruntime")
    tasks.write_text("".join(TASKS.splitlines(keepends=True)[:3]))  # one is enough
    words = ["--model_name", str(model), "--threads", "1", "--tasks", str(tasks)]
    code = main(["quality", "--platform", "cpu", *words, "--vs", "--platform onnxruntime"])
    found = [lines.parse_line(text) for text in capfd.readouterr().out.splitlines()]
    facts = [line.data for line in found if lines.is_json(line, "ENV") and "onnxruntime_nodes" in line.data]
    assert code == 0 and [(one["variant"], one["precision"]) for one in facts] == [("B", "float32")]


def test_scores_are_those_of_mteb(quality, model, tasks):
    """MTEB's evaluators on sentence-transformers' vectors of the same items."""
    library = pytest.importorskip("sentence_transformers")
    from scipy.stats import spearmanr
    from sklearn.metrics import average_precision_score

    theirs = library.SentenceTransformer(str(model), device="cpu")
    one, other = (theirs.encode([pair[side] for pair in PAIRS]) for side in (0, 1))
    products = theirs.similarity_pairwise(one, other).numpy()
    _, found, _ = quality("--tasks", tasks)
    scores = {line["task"]: line["score"] for line in found}
    wanted = [score for _, _, score in PAIRS]
    assert scores["pairs"] == pytest.approx(spearmanr(products, wanted).statistic, abs=1e-6)
    labels = [int(score > 3) for score in wanted]
    assert scores["same"] == pytest.approx(average_precision_score(labels, products), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("tasks.yaml", "type: sts", "type: stz"), "tasks.yaml:3: type stz: unknown; did you mean sts"),
        (("tasks.yaml", "name: pairs, ", "nam: pairs, "),
         "tasks.yaml:3: an entry of tasks has an unknown key 'nam'; did you mean name"),
        (("tasks.yaml", "type: sts, data: pairs.tsv", "type: sts"),
         "tasks.yaml:3: an entry of tasks lacks the key 'data'"),
        (("tasks.yaml", "name: pairs, ", "name: pairs, name: pair, "),
         "tasks.yaml:3: the key 'name' stands here twice"),
        (("tasks.yaml", "{name: pairs, ", "name: pairs, "),
         "tasks.yaml:3: no YAML (mapping values are not allowed here)"),
        (("tasks.yaml", "{name: again, type: reranking, data: again.jsonl}", "STSBenchmark"),
         "tasks.yaml:7: STSBenchmark is "),
        (("tasks.yaml", "data: pairs.tsv", "data: ."), ": is a folder; name a file in it"),
        (("tasks.yaml", "train: topics.csv", "train: [topics.csv]"), "train is a list, and should be a text"),
        (("tasks.yaml", "train: topics.csv", "columns: {}"), "train: name the file to learn from"),
        (("tasks.yaml", "pairs.tsv", "gone.tsv"), "gone.tsv: No such file or directory\n"),
        (("pairs.tsv", "\t5\n", "\n"), "pairs.tsv, line 7: score is missing"),
        (("topics.csv", ",y\n", ", more,y\n"), "topics.csv, line 3: has more fields than the header"),
        (("tasks.yaml", TASKS, "tasks: []"), "tasks.yaml:1: tasks is empty"),
        (("tasks.yaml", "name: same", "name: pairs"), "tasks.yaml:4: two tasks are called pairs"),
        (("pairs.tsv", "score\n", "scor\n"), "pairs.tsv, line 2: no score; did you mean scor"),
        (("pairs.tsv", FILES["pairs.tsv"], "sentence1\tsentence2\tscore\n"), "pairs.tsv: holds no item"),
        (("pairs.tsv", "\t5\n", "\tnan\n"), "score 'nan' is not a finite number"),
        (("same.jsonl", '"label": 1', '"label": 2'), "label 2 is not 0 or 1"),
        (("same.jsonl", '"label": 1', '"label": 0'), "all labels are 0"),
        (("topics.csv", ",y\n", ",x\n"), "the training file has one label"),
        (("topics.csv", "text,label\n", "text,label\nonce,z\n"), "the labels z are seen once"),
        (("again.jsonl", '"positive": [', '"positive": [1, '), "positive is no list of texts"),
    ],
)  # fmt: skip
def test_bad_tasks_are_one_line(quality, tasks, change, said):
    file, old, new = change
    path = tasks.parent / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    code, found, err = quality("--tasks", tasks)
    assert (code, found) == (2, []) and said in err and len(err.splitlines()) == 1, err


def test_all_scores_alike(quality, tasks):
    path = tasks.parent / "pairs.tsv"
    path.write_text("sentence1\tsentence2\tscore\na\tb\t1\nc\td\t1\n")
    assert "all scores are 1; there is no order" in quality("--tasks", tasks)[2]


def test_a_name_that_no_task_has(quality):
    code, _, err = quality("--tasks", "STSBenchmrk")
    assert code == 2 and "--tasks STSBenchmrk: is no task of MTEB" in err


def test_what_mteb_has_no_result_of_is_refused_and_none_is_written_over(quality, tasks, tmp_path):
    code, _, err = quality("--tasks", tasks, "--out_mteb", tmp_path / "new")
    assert code == 2 and len(err.splitlines()) == 1 and not (tmp_path / "new").exists()
    assert "MTEB's result files are of its own tasks, which pairs, same, topics, groups, again, other are not" in err
    (tmp_path / "out" / "A").mkdir(parents=True)
    (tmp_path / "out" / "A" / "STSBenchmark.json").touch()
    code, _, err = quality("--tasks", "SciFact,STSBenchmark", "--out_mteb", tmp_path / "out")
    assert code == 2 and f"--out_mteb {tmp_path / 'out'}: holds A/STSBenchmark.json already" in err
    with one_writer(tmp_path / "out", "--out_mteb"):
        code, _, err = quality("--tasks", "SciFact", "--out_mteb", tmp_path / "out")
    assert code == 2 and "another run writes to it" in err


@pytest.mark.parametrize(
    ("names", "said"),
    [("SciFact,STSBenchmark,SciFact", "SciFact is named twice"), ("SciFact,", "a name is empty")],
)
def test_names_that_no_result_tells_apart(quality, names, said):
    code, _, err = quality("--tasks", names)
    assert code == 2 and f"--tasks {names}: {said}" in err


def test_a_hub_that_does_not_answer_is_said_at_once_and_in_the_end(quality, monkeypatch):
    def tries(model, task):
        raise ConnectionError("six\nlines")

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # refused at once
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("fmbench.mteb.MtebModel.result", tries)
    code, _, err = quality("--tasks", "STSBenchmark")
    first, last = (row for row in err.splitlines() if "STSBenchmark: http://127.0.0.1:9 does not answer" in row)
    assert code == 1 and "MTEB looks for a copy kept here" in first
    assert last.startswith("warning: ") and last.endswith("your own files need no hub: six lines")


def test_a_task_of_pictures(quality):
    code, _, err = quality("--tasks", "CIFAR10Clustering")
    assert code == 2 and "is of image; this encoder takes text alone" in err


def test_what_the_first_configuration_could_not_score_nothing_is_held_against(quality, tasks, monkeypatch):
    from fmbench.errors import FmbenchError
    from fmbench.tasks.named import LocalTask

    real, scored = LocalTask.score, []

    def score(task, encoder, seed):
        scored.append(task.name)
        if len(scored) == 1:
            raise FmbenchError("no room")
        return real(task, encoder, seed)

    monkeypatch.setattr(LocalTask, "score", score)
    (tasks.parent / "tasks.yaml").write_text("{name: pairs, type: sts, data: pairs.tsv}")
    code, found, err = quality("--tasks", tasks, "--vs", "--pooling cls", "--vs", "--threads 1")
    assert code == 1 and "pairs: no room" in err
    assert [one.get("failure") for one in found] == ["no room", None, None]
    assert all("change" not in one for one in found)


def test_what_is_odd_is_said(quality, tasks):
    (tasks.parent / "tasks.yaml").write_text(
        "{tasks: [{name: topics, type: classification, data: topics.csv, train: topics.csv},"
        " {name: few, type: sts, data: few.tsv}]}"
    )
    rows = "air\tgas\t1\n\tlift\t2\njet\tjet air\t3\n"
    (tasks.parent / "few.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}")
    code, found, err = quality("--tasks", tasks)
    assert code == 0
    assert "topics: texts that are in the training file too: 24 of 24" in err
    assert "few: empty texts, encoded like others: 1" in err and "few: few items: 3" in err
    assert 0 < found[1]["resamples"] < found[0]["resamples"] == 1000  # three times one item has no order
    assert "Warning" not in err and ".py:" not in err, err
    (row,) = [line for line in err.splitlines() if "spearman" in line]
    assert "few items" in row


def test_what_has_no_order_has_no_score(quality, tasks):
    (tasks.parent / "tasks.yaml").write_text("{name: same, type: sts, data: same.tsv}")
    rows = "".join(f"{word}\t{word}\t{score}\n" for score, word in enumerate(["air"] * 3))
    (tasks.parent / "same.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}")
    code, found, err = quality("--tasks", tasks)
    assert code == 1 and "same: all pairs are equally similar" in err
    assert "interval" not in found[0] and "Warning" not in err


def test_how_far_a_task_is_is_said(quality, tasks, monkeypatch):
    monkeypatch.setattr(Progress, "is_due", True)
    _, _, err = quality("--tasks", tasks)
    assert "pairs: 24 of 48 texts" in err and "pairs: 48 of 48 texts" in err
    assert "again: 30 of 30 texts" in err  # 6 queries with 4 candidates each


def test_what_libraries_warn_of_is_one_line(quality, tasks):
    (tasks.parent / "tasks.yaml").write_text("{name: groups, type: clustering, data: same.csv}")
    (tasks.parent / "same.csv").write_text("text,label\n" + "air,x\nair,y\n" * 3)
    _, _, err = quality("--tasks", tasks)
    (said,) = [line for line in err.splitlines() if "distinct clusters" in line]
    assert said.startswith("warning: groups: Number of distinct clusters") and ".py" not in err
