"""Losses and pseudo-queries: known values, and what is let through."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.collection import Document
from fmbench.drivers.distill import checkpoint, losses
from fmbench.drivers.distill.lookup import FoldedStudent, LookupStudent
from fmbench.drivers.distill.passages import FrozenPassages
from fmbench.drivers.distill.pseudo_queries import Sieve, pseudo_queries
from fmbench.drivers.distill.ranks import Ranks
from fmbench.drivers.distill.tasks import Contrast, Example
from fmbench.drivers.distill.teacher_vectors import sample
from fmbench.drivers.distill.tokens import padded
from fmbench.recurrent import RecurrentStudent

UP, RIGHT = [0.0, 1.0], [1.0, 0.0]


def test_cosine_and_l2_of_known_vectors():
    student, teacher = torch.tensor([UP, UP]), torch.tensor([UP, RIGHT])
    assert losses.cosine(student, teacher) == pytest.approx(0.5)
    assert losses.squared_distance(student, teacher) == pytest.approx(1.0)


def test_divergence_is_zero_for_equal_scores_and_known_for_opposite_ones():
    teacher = torch.tensor([UP, RIGHT])
    assert losses.in_batch_divergence(teacher, teacher, teacher, 0.5) == pytest.approx(0, abs=1e-7)
    swapped = torch.tensor([RIGHT, UP])
    high, low = math.exp(2) / (math.exp(2) + 1), 1 / (math.exp(2) + 1)  # softmax of 1 / 0.5 and 0
    expected = (high - low) * math.log(high / low)
    assert losses.in_batch_divergence(swapped, teacher, teacher, 0.5) == pytest.approx(expected, rel=1e-6)


def test_contrastive_ignores_a_twin_of_the_positive():
    queries, passages = torch.tensor([UP]), torch.tensor([UP, UP, RIGHT])
    ignored = torch.tensor([[False, True, False]])
    expected = math.log(1 + math.exp(-1))
    assert losses.contrastive(queries, passages, torch.tensor([0]), 1.0, ignored) == pytest.approx(expected)


def contrast(negatives: int = 1) -> Contrast:
    generator = torch.Generator().manual_seed(5)
    vectors = torch.nn.functional.normalize(torch.randn(6, 2, generator=generator), dim=1).numpy()
    student = FoldedStudent(torch.randn(9, 2, generator=generator))
    rows = [(0, 3), (1, 4), (0, 5), (2, 3)]
    examples = [Example([1 + number, 5], positive, (far,) * negatives) for number, (positive, far) in enumerate(rows)]
    return Contrast(student, FrozenPassages(vectors), examples, temperature=0.1)


def test_the_loss_of_a_batch_is_that_of_its_formula():
    task = contrast()
    batch = np.arange(4)
    queries = task.queries(task.examples)
    passages = torch.from_numpy(task.passages.stored[[0, 3, 1, 4, 0, 5, 2, 3]])
    scores = (queries @ passages.T / 0.1).detach().double().numpy()
    own = [0, 2, 4, 6]
    twins = {0: 4, 4: 0}  # the first and the third query share their passage
    expected = 0.0
    for row, column in enumerate(own):
        kept = [one for one in range(8) if one != twins.get(column)]
        expected += np.log(np.exp(scores[row, kept]).sum()) - scores[row, column]
    assert task.loss(batch, Ranks()).item() == pytest.approx(expected / 4, rel=1e-5)


def test_examples_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="the same number of hard negatives"):
        Contrast(FoldedStudent(torch.ones(3, 2)), FrozenPassages(np.ones((2, 2))), [Example([1], 0, ()),
                 Example([1], 0, (1,))])  # fmt: skip


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_student_reads_word_by_word(cell):
    torch.manual_seed(2)
    student = RecurrentStudent(cell, torch.randn(20, 6), 4, free=False, layers=2, hidden_size=5).eval()
    ids = [3, 7, 1, 1, 9]
    whole = student.vectors(*padded([ids]))
    state = None
    for one in ids:
        state = student.advance(torch.tensor([[one]]), state)
    assert torch.allclose(student.vectors_of_state(state), whole, atol=1e-6)
    mixed = student.vectors(*padded([ids, [2], []]))
    assert torch.allclose(mixed[0], whole[0], atol=1e-6)
    assert not mixed[2].any()  # no token, no direction


def test_a_folded_table_gives_the_students_vectors():
    torch.manual_seed(4)
    student = LookupStudent(torch.randn(12, 6), 4, free=True)
    torch.nn.init.normal_(student.weights.weight)
    torch.nn.init.normal_(student.linear.weight)
    batch = padded([[1, 2, 3], [4, 4], [11]])
    assert torch.allclose(FoldedStudent(student.folded()).vectors(*batch), student.vectors(*batch), atol=1e-6)


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
    from fmbench.drivers.distill.tokens import QueryTokenizer
    from fmbench.options import Arguments

    torch.manual_seed(6)
    student = RecurrentStudent(cell, torch.randn(40, 8), 4, free=False)
    arguments = Arguments(platform="cpu", model_class="AutoModel", model_name=str(teacher))
    platform = find("cpu")
    platform.setup(arguments)
    service = QueryEncoder(student, QueryTokenizer.from_folder(teacher, 7, special_tokens=False), platform, arguments)
    for text in [*texts[:30], "wing", "Mach, mach!", " ", "", "unknown wings ?"]:  # longer ones are cut at 7 tokens
        assert np.abs(service.finish(service.begin(text)) - service(text)).max() < 1e-6, text


SHARED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from fmbench.drivers.distill.ranks import Ranks
from fmbench.drivers.distill.training import Plan, Training
from tests.drivers.distill.test_losses import contrast
ranks = Ranks()
ranks.join()
torch.set_num_threads(1)
Training(contrast(), Plan(3, 4, 0.05, every=1), Path(sys.argv[1]), {{}}, lambda line: None, ranks).run()
ranks.leave()
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
