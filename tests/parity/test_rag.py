"""Precision at k as the RAG example of transformers counts it: FMBENCH_RAG_SCRIPT names its eval_rag.py."""

import os
import random
import re

import pytest

from fmbench.ranking.pages import read_pages, write_pages
from fmbench.ranking.precision_curve import page_curve

from .peers import run_peer

TITLES = [f"Title {number} of 'a' page" for number in range(60)]
K_VALUES = (1, 2, 3, 5, 10)


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_that_of_the_published_script(tmp_path, seed):
    script = os.environ.get("FMBENCH_RAG_SCRIPT")
    if not script:
        pytest.skip("FMBENCH_RAG_SCRIPT names no eval_rag.py")
    draw = random.Random(seed)
    predictions = [draw.choices(TITLES, k=10) for _ in range(200)]  # several passages of one page
    gold = [draw.choices(titles + TITLES, k=draw.randint(1, 4)) for titles in predictions]
    write_pages(predictions, tmp_path / "predictions")
    write_pages(gold, tmp_path / "gold")
    words = (script, tmp_path / "predictions", tmp_path / "gold", ",".join(map(str, K_VALUES)))
    said = re.findall(r"Precision@\d+: +([\d.]+)", run_peer("RAG", "rag_peer.py", *words))
    curve = page_curve(read_pages(tmp_path / "predictions"), read_pages(tmp_path / "gold"), K_VALUES)
    assert [f"{100 * value:.2f}" for value in curve.values["precision"]] == said
