"""Encoding beside other work, against sentence-transformers: none, one and two processes that want a processor.

    python -m tests.bench.busy [DOCUMENTS [ROUNDS]]

The same model and documents as tests/bench/encode.py, eager torch in fp32, two threads each. Every way has a process of
its own, ours as `fmbench retrieve` begins (spin_briefly), theirs as Python does; they encode in turn. A ratio is the
median over rounds of theirs / ours in the same round. The other work is Python that counts, and ends with the round.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

from fmbench.stats import median
from fmbench.torch_settings import spin_briefly

DOCUMENTS, ROUNDS, THREADS = 200, 3, 2
LOADS = {0: "nothing beside it", 1: "a process that spins beside it", 2: "two processes that spin beside it"}
WARM = 32  # documents before anything is timed
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"


def serve(way: str, count: int) -> None:
    """Encode the documents whenever a line comes, and answer with the seconds."""
    if way == "ours":
        spin_briefly()
    import torch

    from tests.bench.ways import documents, load, model_folder, seconds

    torch.set_num_threads(THREADS)
    encode: Callable
    if way == "ours":
        encode = load("cpu", ()).encode
    else:
        from sentence_transformers import SentenceTransformer

        encode = SentenceTransformer(str(model_folder()), device="cpu").encode
    texts = documents(count)
    encode(texts[:WARM])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        sys.stdout.write(json.dumps(seconds(encode, texts)) + "\n")
        sys.stdout.flush()


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen]:
    """Run Python until the context ends."""
    process = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ask(process: subprocess.Popen) -> float:
    """Return the seconds of one pass."""
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def rows(count: int = DOCUMENTS, rounds: int = ROUNDS) -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure)."""
    with contextlib.ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(started("-m", "tests.bench.busy", way, str(count))) for way in ("ours", "theirs")
        )
        for process in (ours, theirs):
            assert process.stdout and process.stdout.readline() == "ready\n"
        for spinning, said in LOADS.items():
            with contextlib.ExitStack() as others:
                for _ in range(spinning):
                    others.enter_context(started("-c", SPIN))
                pairs = [(ask(theirs), ask(ours)) for _ in range(rounds)]
            ratio = median([one / other for one, other in pairs])
            speeds = [f"{count / median([pair[place] for pair in pairs]):.1f}" for place in (1, 0)]
            what = f"encoding SciFact, eager torch, fp32, {said}: times as fast as sentence-transformers (documents/s)"
            yield what, "1.0", f"{ratio:.2f} ({speeds[0]} / {speeds[1]})"


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["theirs"]):
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        for row in rows(*(int(word) for word in sys.argv[1:3])):
            print(row, flush=True)
