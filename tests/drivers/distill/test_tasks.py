"""Losses and pseudo-queries: known values, and what is let through."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.collection import Document
from fmbench.distributed import Group
from fmbench.drivers.distill import checkpoint, tasks
from fmbench.drivers.distill.query_encoder import batch_of
from fmbench.drivers.distill.students import LookupStudent
from fmbench.drivers.distill.tasks import Contrast, FrozenPassages
from fmbench.drivers.distill.texts import Sieve, pseudo_queries, sample
from fmbench.encoder.network import Network, RecurrentNetwork, TableNetwork

from .tiny import tokens_of

UP, RIGHT = [0.0, 1.0], [1.0, 0.0]


def test_cosine_and_l2_of_known_vectors():
    student, teacher = torch.tensor([UP, UP]), torch.tensor([UP, RIGHT])
    assert tasks.cosine(student, teacher) == pytest.approx(0.5)
    assert tasks.squared_distance(student, teacher) == pytest.approx(1.0)


def test_divergence_is_zero_for_equal_scores_and_known_for_opposite_ones():
    teacher = torch.tensor([UP, RIGHT])
    assert tasks.in_batch_divergence(teacher, teacher, teacher, 0.5) == pytest.approx(0, abs=1e-7)
    swapped = torch.tensor([RIGHT, UP])
    high, low = math.exp(2) / (math.exp(2) + 1), 1 / (math.exp(2) + 1)  # softmax of 1 / 0.5 and 0
    expected = (high - low) * math.log(high / low)
    assert tasks.in_batch_divergence(swapped, teacher, teacher, 0.5) == pytest.approx(expected, rel=1e-6)


def test_contrastive_ignores_a_twin_of_the_positive():
    queries, passages = torch.tensor([UP]), torch.tensor([UP, UP, RIGHT])
    ignored = torch.tensor([[False, True, False]])
    expected = math.log(1 + math.exp(-1))
    assert tasks.contrastive(queries, passages, torch.tensor([0]), 1.0, ignored) == pytest.approx(expected)


def contrast(negatives: int = 1) -> Contrast:
    generator = torch.Generator().manual_seed(5)
    vectors = torch.nn.functional.normalize(torch.randn(6, 2, generator=generator), dim=1).numpy()
    student = TableNetwork(torch.randn(9, 2, generator=generator))
    rows = [(0, 3), (1, 4), (0, 5), (2, 3)]
    queries = tokens_of([[1 + number, 5] for number in range(len(rows))])
    passages = np.array([[positive, *[far] * negatives] for positive, far in rows])
    return Contrast(student, FrozenPassages(vectors), queries, passages, temperature=0.1)


def test_the_loss_of_a_batch_is_that_of_its_formula():
    task = contrast()
    batch = np.arange(4)
    queries = task.vectors(range(4))
    passages = torch.from_numpy(task.passages.stored[[0, 3, 1, 4, 0, 5, 2, 3]])
    scores = (queries @ passages.T / 0.1).detach().double().numpy()
    own = [0, 2, 4, 6]
    twins = {0: 4, 4: 0}  # the first and the third query share their passage
    expected = 0.0
    for row, column in enumerate(own):
        kept = [one for one in range(8) if one != twins.get(column)]
        expected += np.log(np.exp(scores[row, kept]).sum()) - scores[row, column]
    assert task.loss(batch, Group()).item() == pytest.approx(expected / 4, rel=1e-5)


def vectors(network: Network, rows: list[list[int]]) -> torch.Tensor:
    return network.vectors(**batch_of(tokens_of(rows), range(len(rows))))


@pytest.mark.parametrize("ff", [0, 2])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_student_reads_word_by_word(cell, ff):
    torch.manual_seed(2)
    student = RecurrentNetwork(cell, torch.randn(20, 6), 4, free=False, layers=2, hidden_size=5, ff=ff).eval()
    ids = [3, 7, 1, 1, 9]
    whole = vectors(student, [ids])
    state = None
    for one in ids:
        state = student.advance(torch.tensor([[one]]), state)
    assert torch.allclose(student.vectors_of_state(state), whole, atol=1e-6)
    mixed = vectors(student, [ids, [2], []])
    assert torch.allclose(mixed[0], whole[0], atol=1e-6)
    assert not mixed[2].any()  # no token, no direction


def test_feed_forward_blocks_are_those_of_bert():
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertIntermediate, BertOutput

    torch.manual_seed(3)
    config = BertConfig(hidden_size=5, intermediate_size=20, layer_norm_eps=1e-5)
    wide, back = BertIntermediate(config).eval(), BertOutput(config).eval()
    student = RecurrentNetwork("gru", torch.randn(20, 6), 5, free=False, ff=1).eval()
    block, hidden = student.ff[0], torch.randn(3, 5)
    block.wide, block.back, block.norm = wide.dense, back.dense, back.LayerNorm
    torch.nn.init.normal_(block.norm.weight)
    assert torch.allclose(student.vector(hidden.unsqueeze(0)), back(wide(hidden), hidden), atol=1e-6)


def test_a_folded_table_gives_the_students_vectors():
    torch.manual_seed(4)
    student = LookupStudent(torch.randn(12, 6), 4, free=True)
    torch.nn.init.normal_(student.weights.weight)
    torch.nn.init.normal_(student.linear.weight)
    rows = [[1, 2, 3], [4, 4], [11]]
    assert torch.allclose(vectors(TableNetwork(student.folded()), rows), vectors(student, rows), atol=1e-6)


PASSAGE = Document("7", "Shock waves heat. The wall, e.g. a nose cone, must bear it! No more.", " Heat ")
SPLIT = Document("8", "a wing in a slipstream . an experimental study was made .", "")


def test_sentences_are_split_in_running_text_and_in_text_of_tokens():
    assert list(pseudo_queries("titles", [PASSAGE, SPLIT])) == ["Heat"]
    assert list(pseudo_queries("sentences", [PASSAGE, SPLIT])) == [
        "Shock waves heat.", "The wall, e.g. a nose cone, must bear it!",
        "a wing in a slipstream .", "an experimental study was made .",
    ]  # fmt: skip


def test_spans_lie_in_their_sentence_and_follow_the_seed():
    spans = list(pseudo_queries("spans", [PASSAGE, SPLIT], seed=1))
    sentences = list(pseudo_queries("sentences", [PASSAGE, SPLIT]))
    assert all(span in sentence for span, sentence in zip(spans, sentences, strict=True))
    assert spans == list(pseudo_queries("spans", [PASSAGE, SPLIT], seed=1))
    many = [Document(str(number), " ".join(f"w{word}" for word in range(40)), "") for number in range(200)]
    lengths = {len(span.split()) for span in pseudo_queries("spans", many)}
    assert lengths == set(range(3, 17))


def test_the_sieve_keeps_held_out_texts_out_whatever_their_looks():
    sieve = Sieve(["Obesity decreases life quality."])
    assert list(sieve(["obesity  decreases\tLIFE quality", "other", "Other!", "", "?"])) == ["other"]
    assert (sieve.dropped_held_out, sieve.dropped_repeated) == (1, 3)


def test_a_sample_is_uniform_and_in_order():
    texts = [f"{number:02}" for number in range(20)]
    assert list(sample(texts, None, 0)) == texts
    counts = np.zeros(20)
    for seed in range(2000):
        drawn = list(sample(texts, 5, seed))
        assert drawn == sorted(drawn)
        counts[[int(text) for text in drawn]] += 1
    assert abs(counts - 500).max() < 5 * math.sqrt(2000 * 0.25 * 0.75)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_after_the_last_word_comes_the_whole_querys_vector(cell, teacher, texts):
    from fmbench.backend import find
    from fmbench.drivers.distill.query_encoder import QueryEncoder
    from fmbench.encoder import EncoderPlan
    from fmbench.encoder.tokens import Tokenizer, load_tokenizer
    from fmbench.options import Arguments

    torch.manual_seed(6)
    student = RecurrentNetwork(cell, torch.randn(40, 8), 4, free=False)
    arguments = Arguments(platform="cpu", model_class="AutoModel", model_name=str(teacher))
    platform = find("cpu")
    platform.setup(arguments)
    origin = load_tokenizer(EncoderPlan.of(arguments).folder)
    service = QueryEncoder(student, Tokenizer(origin, "", 7, special_tokens=False), platform, arguments)
    for text in [*texts[:30], "wing", "Mach, mach!", " ", "", "unknown wings ?"]:  # longer ones are cut at 7 tokens
        assert np.abs(service.finish(service.begin(text)) - service(text)).max() < 1e-6, text


SHARED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from fmbench.distributed import Group
from fmbench.drivers.distill.training import Plan, Training
from tests.drivers.distill.test_tasks import contrast
torch.set_num_threads(1)
with Group(backend=None) as group:
    Training(contrast(), Plan(3, 4, 0.05, every=1), Path(sys.argv[1]), {{}}, lambda line: None, group).run()
"""


@pytest.mark.slow
def test_processes_share_a_batch_of_contrasts_without_changing_it(tmp_path):
    (tmp_path / "shared.py").write_text(SHARED.format(root=str(Path(__file__).parents[3])))
    for name, count in (("alone", 1), ("both", 2)):
        (tmp_path / name).mkdir()
        words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
        subprocess.run([*words, str(tmp_path / "shared.py"), str(tmp_path / name)], check=True, timeout=300)
    alone, both = (checkpoint.read(tmp_path / name / "checkpoint.safetensors")[0] for name in ("alone", "both"))
    moved = (alone["model.student.table.weight"] - contrast().student.table.weight).abs().max()
    assert float(moved.detach()) > 0.01
    assert float((alone["model.student.table.weight"] - both["model.student.table.weight"]).abs().max()) < 1e-5


def test_bm25_ranks_by_lucenes_formula_and_leaves_out_what_is_relevant():
    pytest.importorskip("bm25s")
    from fmbench.drivers.distill.lexical import bm25_negatives

    texts = {"a": "wing flow", "b": "wing wing shock", "c": "heat", "d": "Flow wing", "e": "shock", "q": "wing flow"}
    corpus = [Document(name, text, "") for name, text in texts.items()]
    found = bm25_negatives(corpus, {"q": "WING flow", "r": "shock?", "s": "unknown"}, {"q": {"c"}, "r": {"b"}}, 2)
    assert list(found["q"]) == ["d", "a"]  # equal scores by id, descending; the query itself is left out
    assert (list(found["r"]), found["s"]) == (["e"], {})  # no document without one of the words

    def score(frequencies: dict[int, int], length: int) -> float:  # {documents with the word: occurrences}
        mean = sum(len(text.split()) for text in texts.values()) / 6
        idf = {count: math.log(1 + (6 - count + 0.5) / (count + 0.5)) for count in frequencies}
        return sum(idf[n] * tf / (tf + 0.9 * (1 - 0.4 + 0.4 * length / mean)) for n, tf in frequencies.items())

    assert found["q"]["d"] == pytest.approx(score({4: 1, 3: 1}, 2), rel=1e-5)
    assert found["r"]["e"] == pytest.approx(score({2: 1}, 1), rel=1e-5)
