"""Encoding real documents, and one query at a time, against what else a CPU's user can choose: same model, same texts.

    python -m tests.bench.encode [--state FOLDER] [DOCUMENTS [ROUNDS [THREADS ...]]]
    python -m tests.bench.encode quality [THREADS]

The documents are SciFact's, in ../shared/data beside the clone. Each way encodes all of them and each query once before
it is timed: that is when a model is compiled, converted and rounded (int8 that learns takes the collection's last
documents). All ways then take turns, documents and after them each query alone, round after round. A ratio is the
median over rounds, or over queries, of theirs / ours. `quality` is nDCG@10 on all of SciFact, our int8 against fp32.

Each round that is whole is kept in the folder, where the same command goes on: on the same machine, with the same
versions and the same commit, and with as many threads and rounds as it is asked for. A number of rounds that are there
already prints their rows at once. Every way has a process of its own; threads of ours spin as `fmbench retrieve` lets
them, theirs as by default.

sentence-transformers' other engines and fastembed need older libraries, so an environment of their own:
    PEER_PYTHON=ENV/bin/python make bench    (ENV has sentence-transformers[onnx,openvino], datasets, fastembed)

What a type could reach stands beside it: the matrix products of these texts, without any padding, at the best rate that
a large one of torch, OpenVINO or ONNX Runtime has here in the same round, and nothing else.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fmbench.cost import cost_of
from fmbench.encoder import Encoder
from fmbench.host import load_average

from . import rates
from .comparison import Measured, Row, rows_of
from .quality import quality
from .rounds import Rounds
from .ways import BASE, Way, documents, encoders, load, queries

DOCUMENTS, ROUNDS, THREADS, QUERIES = 400, 5, (1, 2), 50


def measure(count: int, wanted: int, threads: int, kept: Rounds) -> Measured:
    """Measure every way with so many threads, but for the rounds that are kept."""
    import torch

    done = kept.of(threads)
    with ExitStack() as stack:
        if len(done) < wanted:
            torch.set_num_threads(threads)
            texts, asked = documents(count), queries(QUERIES)
            ways = stack.enter_context(encoders(threads, kept.folder))
            cosines, products = warm_up(ways, texts, asked), rates.products(threads)
            operations = operations_of(load("cpu", ()), texts)
        for number in range(len(done), wanted):
            found = one_round(ways, texts, asked)
            limits = {name: operations / rates.rate(product) for name, product in products.items()}
            said = {"limits": limits, "operations": operations, "cosines": cosines, "load": load_average()}
            kept.add(threads, {**found, **said})
            sys.stderr.write(f"{threads} thread(s): round {number + 1} of {wanted}\n")
    return Measured(count, kept.of(threads)[:wanted])


def warm_up(ways: dict[str, Way], texts: list[str], asked: list[str]) -> dict[str, float]:
    """Encode everything once; return the least cosine of each way's vectors with those of their torch."""
    vectors = {}
    for name, way in ways.items():
        vectors[name] = way.encode(texts)
        way.timed_alone(asked)
        sys.stderr.write(f"{name}: ready\n")
    return {name: float((found * vectors[BASE]).sum(axis=1).min()) for name, found in vectors.items()}


def operations_of(encoder: Encoder, texts: list[str]) -> int:
    """Return the floating-point operations of texts, each computed alone."""
    lengths = Counter(encoder.tokenise(texts).lengths.tolist())
    return sum(count * cost_of(encoder.module, length, 1).flops for length, count in lengths.items())


def one_round(ways: dict[str, Way], texts: list[str], asked: list[str]) -> dict[str, Any]:
    """Return the seconds of each way: of all documents, and of each query alone; of ours the stages of both."""
    found: dict[str, Any] = {name: {} for name in ("bulk", "bulk_stages", "alone", "alone_stages")}
    for name, way in ways.items():
        found["bulk"][name], found["bulk_stages"][name] = way.timed(texts)
        found["alone"][name], found["alone_stages"][name] = way.timed_alone(asked)
    return found


def rows(
    count: int = DOCUMENTS, rounds: int = ROUNDS, threads: tuple[int, ...] = THREADS, state: Path | None = None
) -> Iterator[Row]:
    """Yield every row, once a number of threads is measured. `state` keeps the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Rounds(state or Path(folder), {"documents": count, "queries": QUERIES})
        for number in threads:
            said = f"{number} thread{'s' if number > 1 else ''}"
            for what, *figures in rows_of(measure(count, rounds, number, kept)):
                yield f"SciFact, {said}, {what}", *figures


def main() -> None:
    """Print rows, each as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.encode")
    parser.add_argument("--state", type=Path)
    parser.add_argument("words", nargs="*")
    said = parser.parse_args()
    if said.words[:1] == ["quality"]:
        found = quality(*map(int, said.words[1:]))
    else:
        count, rounds, *threads = [*map(int, said.words), *(DOCUMENTS, ROUNDS)[len(said.words) :]]
        found = rows(count, rounds, tuple(threads) or THREADS, said.state)
    for row in found:
        print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
