"""MTEB's own tasks on our encoder: the scores that its wrapper of sentence-transformers gives the same folder."""

import json
import shlex
from pathlib import Path

import pytest

from fmbench import cli, lines
from fmbench.collection import Dataset
from fmbench.errors import UsageError
from tests.text_models import add_modules, save_bert

mteb = pytest.importorskip("mteb", reason="pip install 'fmbench[mteb]'")
library = pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")

PROMPTS = {"query": "ask: ", "document": "read: ", "STS": "same? ", "Banking77Classification": "what? "}
F32 = "--compile:options:config@ \"{'INFERENCE_PRECISION_HINT': 'f32'}\""
SCIFACT = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact"
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that sentence-transformers reads, with prompts for roles, a task type and a task."""
    made = add_modules(save_bert(tmp_path_factory.mktemp("mteb") / "model"))
    file = made / "config_sentence_transformers.json"
    said = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**said, "prompts": PROMPTS}))
    return made


def grid():
    from mteb.mocks import MOCK_TASK_TEST_GRID_MONOLINGUAL

    return MOCK_TASK_TEST_GRID_MONOLINGUAL


def scores(model, task) -> list[float]:
    fresh = type(task)()  # one that has run draws other examples the next time
    found = mteb.evaluate(model, fresh, cache=None, show_progress_bar=False)
    return [float(result.get_score()) for result in found.task_results]


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cpu", "onnxruntime", "openvino"])
def test_every_text_task_scores_as_in_mteb(folder, platform):
    from mteb.models import SentenceTransformerEncoderWrapper

    import fmbench.mteb

    options = F32 if platform == "openvino" else ""
    ours = fmbench.mteb.load(f"--platform {platform} --model_name {folder} --threads 1 {options}")
    theirs = SentenceTransformerEncoderWrapper(library.SentenceTransformer(str(folder), device="cpu"))
    for task in grid():
        assert scores(ours, task) == pytest.approx(scores(theirs, task), abs=1e-5), task.metadata.name


@pytest.mark.slow
@pytest.mark.skipif(not SCIFACT.is_dir(), reason=f"needs {SCIFACT}")
def test_scifact_by_mtebs_own_class_is_what_we_say(minilm, tmp_path, capsys):
    """nDCG@10 of `retrieve evaluate`: of some queries and a few documents, since all take six minutes."""
    pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")  # twice as fast as eager torch
    from datasets import Dataset as Table
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData

    import fmbench.mteb

    model, others = f"--platform openvino --model_name {minilm} {F32}", 60
    (tmp_path / "qrels").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).symlink_to(SCIFACT / name)
    judgements = (SCIFACT / "qrels" / "test.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "qrels" / "test.tsv").write_text("".join(judgements[:61]))  # a header, and 60 of 339
    data, task = Dataset.from_folder(tmp_path).cut(others, seed=0), mteb.get_task("SciFact")
    gains = {query: {name: int(gain) for name, gain in found.items()} for query, found in data.qrels.gains.items()}
    corpus = [{"id": one.id, "title": one.title, "text": one.text} for one in data.corpus]
    task.dataset = {"default": {"test": RetrievalSplitData(
        corpus=Table.from_list(corpus), relevant_docs=gains, top_ranked=None,
        queries=Table.from_list([{"id": one.id, "text": one.text} for one in data.queries]),
    )}}  # fmt: skip
    task.data_loaded = True
    theirs = float(fmbench.mteb.load(model).result(task).get_score())
    words = ["retrieve", "evaluate", *shlex.split(model), "--dataset", str(tmp_path), "--other_documents", str(others)]
    assert cli.main([*words, "--seed", "0"]) == 0
    said = [lines.parse_line(row) for row in capsys.readouterr().out.splitlines()]
    (ours,) = [line.data["metrics"]["ndcg_cut_10"] for line in said if lines.is_json(line, "IRM")]
    assert ours == pytest.approx(theirs, abs=1e-4) and 0.9 < ours < 0.99


class Metadata:
    """What of a task's metadata decides its prompt."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.type = name, kind


@pytest.mark.parametrize(
    ("name", "kind", "role", "prompt"),
    [
        ("AnySTS", "STS", None, "same? "), ("Any", "Clustering", None, ""), ("Any", "Retrieval", "query", "ask: "),
        ("Any", "Retrieval", "document", "read: "), ("Banking77Classification", "Classification", None, "what? "),
    ],
)  # fmt: skip
def test_prompts_by_mtebs_order(folder, name, kind, role, prompt):
    from mteb.types import PromptType

    import fmbench.mteb

    model = fmbench.mteb.load(f"--platform cpu --model_name {folder} --threads 1")
    said = {"task_metadata": Metadata(name, kind), "hf_split": "test", "hf_subset": "default"}
    found = model.encode([{"text": ["abc", "ab"]}], prompt_type=role and PromptType(role), **said)
    with_prompt = model.encoder.with_prompt(prompt).encode(["abc", "ab"])
    assert (found == with_prompt).all()


def test_a_task_of_another_modality_is_refused(folder):
    import fmbench.mteb

    model = fmbench.mteb.load(f"--platform cpu --model_name {folder} --threads 1")
    with pytest.raises(UsageError, match="Any: its items are image; this encoder takes text alone"):
        model.encode([{"image": [1]}], task_metadata=Metadata("Any", "x"), hf_split="test", hf_subset="default")


def test_the_name_and_the_digest_stand_in_mtebs_results(folder):
    import fmbench.mteb

    model = fmbench.mteb.load(f"--platform cpu --model_name {folder} --threads 1")
    assert model.mteb_model_meta.name.endswith("/model")
    assert model.mteb_model_meta.revision == model.encoder.facts["model_digest"]
    with pytest.raises(UsageError, match="--platfrm"):
        fmbench.mteb.load(f"--platfrm cpu --model_name {folder}")
