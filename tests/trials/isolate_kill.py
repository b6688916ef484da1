"""SIGKILL under `--isolate`: `python -m tests.trials.isolate_kill [ROUNDS]`.

At a random moment of a sweep, its parent or the child that measures is killed. Then nothing of it may live, every line
of the log can be read, a killed child is a failure of its shape alone, and the same command measures what is missing.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from .signals import FMBENCH, MARK, alive, read

SHAPES = 4
SWEEP = [*FMBENCH, "driver", "--platform", "null", "--model_class", "none", "--model_name", "none", "--input_sizes",
         "8,16,32,64", "--batch_sizes", "1", "--reps", "20000", "--isolate", "--resume"]  # fmt: skip
SPREAD = 0.2, 6.0  # seconds after the start
LONGEST = 10.0  # seconds that a child has: one that imports torch hears of nothing until that is done


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def round_of(log: Path, victim: str, moment: float) -> Counter[str]:
    """Kill once, go on, and count what is not as it should be."""
    mark = uuid.uuid4().hex
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, MARK: mark}}
    process = subprocess.Popen([*SWEEP, str(log)], **quiet)
    time.sleep(moment)
    while victim == "child" and process.poll() is None and not children_of(process.pid):
        time.sleep(0.05)
    killed = [process.pid] if victim == "parent" else children_of(process.pid)
    found = Counter({f"{victim} killed": int(bool(killed) and process.poll() is None)})
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    code = process.wait()
    wanted = -signal.SIGKILL if victim == "parent" else 1
    found["wrong exit codes"] += bool(found[f"{victim} killed"]) and code != wanted
    deadline = time.monotonic() + LONGEST
    while (living := alive(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    found["processes that lived on"] += len(living)
    text = log.read_text() if log.exists() else ""
    found["lines torn in the middle"] += sum(not read(one) for one in text.splitlines()[:-1] if one[:7] == "FMWORK ")
    before = {one for one in text.splitlines() if one.startswith("FMWORK RES ")}
    quiet["stderr"] = subprocess.PIPE
    again = subprocess.run([*SWEEP, str(log)], check=False, text=True, **quiet)
    if again.returncode:
        found["runs that could not go on"] += 1
        sys.stderr.write(again.stderr)
    found["results lost"] += len(before - set(log.read_text().splitlines()))
    done = subprocess.run([*FMBENCH, "process", "--path", str(log)], capture_output=True, text=True, check=False)
    whole = {row["input"] for row in json.loads(done.stdout) if row["status"] == "SIMULATED" and not row["doubt"]}
    found["shapes without a result"] += SHAPES - len(whole)
    return found


def main() -> int:
    """Run the rounds, print what was counted, and return 1 where anything went wrong."""
    draw, found = random.Random(1), Counter()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            victim = ("parent", "child")[number % 2]
            found.update(round_of(Path(folder, f"{number}.log"), victim, draw.uniform(*SPREAD)))
            sys.stderr.write(f"{dict(found)}\n")
    sys.stdout.write(
        f"{rounds} rounds, " + ", ".join(f"{count} {what}" for what, count in sorted(found.items())) + "\n"
    )
    return int(any(count for what, count in found.items() if not what.endswith("killed")))


if __name__ == "__main__":
    sys.exit(main())
