"""Batches in bulk that are computed side by side, and the threads that do it."""

import importlib.util
import itertools
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.encoder import Recipe
from fmbench.encoder.batches import measure_budgets
from fmbench.encoder.threads import side_by_side
from fmbench.encoder.timings import Timings

from .conftest import Load

pytestmark = pytest.mark.slow

WORKERS = ("one", "two", "three")
TEXTS = [" ".join(["some", "words", "of", "a", "text"][: 1 + index % 5] * (1 + index % 3)) for index in range(60)]
ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in ("onnxruntime", "openvino")
]


def test_every_worker_has_an_item_at_once_and_results_are_in_order(restore_torch: None) -> None:
    torch.set_num_threads(2)
    together, threads = threading.Barrier(len(WORKERS)), []

    def work(worker: str, item: int) -> tuple[str, int]:
        threads.append(torch.get_num_threads())
        together.wait(300)  # breaks where one is left alone
        time.sleep(0.003 * (item % 3))
        return worker, item

    found = list(side_by_side(range(30), work, WORKERS))
    assert [item for _, item in found] == list(range(30)) and {worker for worker, _ in found} == set(WORKERS)
    assert set(threads) == {1} and torch.get_num_threads() == 2


@pytest.mark.parametrize("end", [KeyboardInterrupt, GeneratorExit])
def test_an_end_leaves_what_was_not_begun(end: type[BaseException], restore_torch: None) -> None:
    begun, known = [], torch.get_num_threads()

    def work(worker: str, item: int) -> int:
        begun.append(item)
        time.sleep(0.05)
        if item == 4 and end is KeyboardInterrupt:
            raise end
        return item

    found = side_by_side(range(1000), work, WORKERS)
    assert list(itertools.islice(found, 4)) == [0, 1, 2, 3]
    if end is GeneratorExit:
        found.close()
    else:
        with pytest.raises(end):
            next(found)
    assert len(begun) < 1000 and torch.get_num_threads() == known
    assert not any(thread.name.startswith("stream") for thread in threading.enumerate())


def test_stages_side_by_side_take_what_was_waited_for_them() -> None:
    found = Timings(texts=3, seconds={"forward": 3.0, "pool": 1.0}).within(2.0)
    assert found.seconds == {"forward": 1.5, "pool": 0.5} and found.texts == 3
    assert Timings().within(2.0).seconds == {}


class Kept:
    """Vectors of some texts of a chunk."""

    def __init__(self, vectors: np.ndarray, positions: set[int]) -> None:
        self.vectors, self.positions, self.given = vectors, positions, []

    def take(self, positions: np.ndarray) -> np.ndarray | None:
        return self.vectors[positions] if set(positions.tolist()) <= self.positions else None

    def due(self) -> bool:
        return len(self.given) < 2

    def keep(self, positions: np.ndarray, vectors: np.ndarray) -> None:
        self.given.append(positions)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ENGINES)
def test_bulk_goes_through_streams_and_few_batches_do_not(load: Load, tiny_text_model: Path, platform: str) -> None:
    recipe = Recipe(tokens_per_batch=40)
    expected = load(tiny_text_model, recipe=recipe).encode(TEXTS)
    encoder = load(tiny_text_model, platform=platform, threads=2, recipe=recipe)
    assert len(encoder.encode(TEXTS[:3])) == 3 and encoder.timings.batches < 4
    name = f"{platform}_streams"
    assert encoder.platform.model_facts()[name] == 1
    before, start = sum(encoder.timings.seconds.values()), time.perf_counter()
    found = encoder.encode(TEXTS)
    elapsed = time.perf_counter() - start
    timings = encoder.timings
    assert sum(timings.seconds.values()) - before <= elapsed  # though the sum of what two threads did is more
    assert timings.texts == 63 and timings.batches > 10 and timings.phases["open"] > 0
    assert encoder.platform.model_facts()[name] == 2
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(axis=1) / norms).min() > 0.99  # OpenVINO may take bfloat16
    assert np.array_equal(found, encoder.encode(TEXTS))
    kept = Kept(found, {index for index, text in enumerate(TEXTS) if len(text) > 8})
    (again,) = encoder.encode_chunks([TEXTS], "passage", kept=iter([kept]))
    assert np.array_equal(again, found) and 0 < sum(map(len, kept.given)) < len(TEXTS)


@pytest.mark.parametrize("platform", ENGINES)
def test_one_thread_has_no_streams(load: Load, tiny_text_model: Path, platform: str) -> None:
    encoder = load(tiny_text_model, platform=platform, threads=1, recipe=Recipe(tokens_per_batch=40))
    encoder.encode(TEXTS)
    assert encoder.platform.streams(100) == [] and encoder.platform.model_facts()[f"{platform}_streams"] == 1


@pytest.mark.parametrize("platform", ["cpu", *ENGINES])
def test_the_best_budget_is_of_batches_side_by_side_where_bulk_computes_so(
    load: Load, tiny_text_model: Path, tmp_path: Path, monkeypatch, platform: str
) -> None:
    streams = 1 if platform == "cpu" else 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    seen = []

    def once(lengths, run, default, fixed, at_once) -> list[dict[int, float]]:
        seen.append(at_once)
        return measure_budgets(lengths, run, default, fixed, at_once)[:1] * 4

    monkeypatch.setattr("fmbench.encoder.compute.measure_budgets", once)
    encoder = load(tiny_text_model, platform=platform, threads=2, recipe=Recipe(tokens_per_batch="auto"))
    encoder.settle(TEXTS * 4, "passage")
    assert seen == [streams] and encoder.timings.phases.keys() >= {"budget", *(("open",) if streams > 1 else ())}
    if streams > 1:
        assert encoder.platform.model_facts()[f"{platform}_streams"] == streams
