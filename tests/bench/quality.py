"""What 8 bits do to the rankings: nDCG@10 on all of SciFact, with the interval of the difference in pairs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from fmbench.collection import Dataset
from fmbench.encoder import Encoder
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate
from fmbench.ranking.paired import compare
from fmbench.search import Block, search
from fmbench.search.choice import default_engine

from .ways import DATA, OURS, PLAIN, calibration, load


def quality(threads: int = 2) -> Iterator[tuple[str, str, str]]:
    """Yield nDCG@10 on all of SciFact, our int8 against eager fp32, with the interval of the difference in pairs."""
    import torch

    torch.set_num_threads(threads)
    dataset, judged = Dataset.from_folder(DATA, "test"), {}
    with tempfile.TemporaryDirectory() as folder:
        file = calibration(Path(folder))
        for way in (PLAIN, *(name for name, one in OURS.items() if one.kind == "int8")):
            options = tuple(one.replace("{calibration}", str(file)) for one in OURS[way].options)
            judged[way] = judge(dataset, load(OURS[way].platform, options, threads))
            mean = judged[way].means()["ndcg_cut_10"]
            found = compare(judged[PLAIN], judged[way])["ndcg_cut_10"]
            low, high = found.interval or (found.mean, found.mean)
            more = "" if way == PLAIN else f", {found.mean:+.4f} ({low:+.4f} to {high:+.4f})"
            yield f"SciFact, nDCG@10, {way}", "" if way == PLAIN else "within 0.005", f"{mean:.4f}{more}"


def judge(dataset: Dataset, encoder: Encoder) -> Evaluation:
    """Return the metrics of a whole collection's rankings."""
    assert dataset.qrels is not None
    names, passages = zip(*((one.id, one.passage) for one in dataset.corpus), strict=True)
    ids, texts = zip(*((one.id, one.text) for one in dataset.queries), strict=True)
    block = Block(list(names), encoder.encode(passages))
    vectors, engine = encoder.encode(texts, "query"), default_engine(encoder.dimension)
    top = search(vectors, list(ids), [block], 10, "cosine", engine=engine, ignore_identical_ids=True)
    return evaluate(top.run(), dataset.qrels, (10,), depth=10)
