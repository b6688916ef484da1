"""Every command, ended by every signal: `python -m tests.trials.signals [CASE ...]`.

A row says how many seconds the end took, the exit code, which processes and temporary files were left 0.5 s later, how
many lines its log has and whether all of them can be read. FMWORK lines are read with the package's own reader.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fmbench import lines
from tests.tiny_model import write_collection, write_model

MARK = "FMBENCH_TRIAL"
LONGEST = 60.0  # seconds to wait for a start, and for an end
PROMISED = 3.0  # seconds to the end
FMBENCH = [sys.executable, "-m", "fmbench"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


@dataclass
class Place:
    """The folder of one trial: `temporary` is its TMPDIR, `log` its stdout."""

    root: Path

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def log(self) -> Path:
        return self.root / "log"

    def says(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


@dataclass
class Case:
    """A command, and when it is at its work."""

    words: Callable[[Place], list[object]]
    ready: Callable[[Place], bool]
    codes: tuple[int, ...] = ()  # of a launcher that is not ours


def cases(shared: Path) -> dict[str, Case]:
    """Return every case; `shared` holds the model, the collection and the teacher's vectors."""
    model = ["--platform", "cpu", "--threads", "1", "--model_name", shared / "model"]
    data = ["--dataset", shared / "wings"]
    drive = [*FMBENCH, "driver", *model, "--input_sizes", "8", "--batch_sizes", "1", "--reps", 10_000_000]
    evaluate = ["retrieve", "evaluate", *model, *data, "--precompute_corpus_embs"]
    ranks = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "fmbench"]
    align = [*FMBENCH, "distill", "align", *model, "--teacher_dir", shared / "teacher", "--student", "lookup",
             "--epochs", 1_000_000, "--output_dir"]  # fmt: skip
    return {
        "driver": Case(lambda _: drive, lambda place: place.says("FMWORK REP 20 ")),
        "isolate": Case(lambda _: [*drive, "--isolate"], lambda place: place.says("FMWORK REP 20 ")),
        "evaluate": Case(lambda _: [*FMBENCH, *evaluate], lambda place: any(place.temporary.glob("fmbench-*/*/*"))),
        "choose": Case(
            lambda place: [*FMBENCH, "choose", *model[2:], *data, "--platforms", "cpu", "--without", "cpu inductor",
                           "--log", place.root / "choice"],
            lambda place: (place.root / "choice").exists() and "FMWORK TURN" in (place.root / "choice").read_text(),
        ),
        "matrix": Case(
            lambda place: [*FMBENCH, "fidelity", "matrix", *model, *data, "--with", "numpy", "--with", "pyyaml",
                           "--environments", shared / "environments", "--out", place.root / "out"],
            lambda place: (place.root / "out" / "numpy").is_dir(),
        ),
        "align": Case(lambda place: [*align, place.root / "out"], lambda place: place.says("FMWORK DST")),
        "torchrun": Case(
            lambda _: [*ranks, *evaluate], lambda place: len(list(place.temporary.glob("fmbench-*/*/*"))) >= 2, (1,)
        ),
    }  # fmt: skip


def alive(mark: str) -> list[str]:
    """Return the command lines of processes that carry a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [text for text in found if text]


def trial(case: Case, number: signal.Signals, root: Path) -> tuple[str, bool]:
    """Start a command, end it, and return what is to be said of that, and whether it is as promised."""
    place, mark = Place(root), uuid.uuid4().hex
    place.temporary.mkdir(parents=True)
    variables = {**os.environ, MARK: mark, "TMPDIR": str(place.temporary), "OMP_NUM_THREADS": "1"}
    with place.log.open("w") as log, (root / "err").open("w") as errors:
        process = subprocess.Popen(
            [str(word) for word in case.words(place)], stdout=log, stderr=errors, env=variables, start_new_session=True
        )
        deadline = time.monotonic() + LONGEST
        while not case.ready(place) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is not None or time.monotonic() >= deadline:
            process.kill()
            return f"did not come to work: {(root / 'err').read_text()[-300:]!r}", False
        start = time.monotonic()
        process.send_signal(number)
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
        seconds = time.monotonic() - start
    time.sleep(0.5 if number != signal.SIGKILL else 3.0)
    killed, living = number == signal.SIGKILL, len(alive(mark))
    left = [*place.temporary.glob("fmbench-*"), *root.rglob("*.part")]
    readable = [read(text) for text in place.log.read_text(errors="replace").splitlines() if text.startswith("FMWORK")]
    code = process.returncode
    said = (
        f"{seconds:5.1f} s, exit {code:4}, {living} processes, {len(left)} files left, "
        f"{len(readable)} lines, {'all readable' if all(readable) else 'TORN'}"
    )
    whole = all(readable) and not living and (killed or not left)
    return said, whole and seconds <= PROMISED and code in (-number, 128 + number, *case.codes)


def read(text: str) -> bool:
    """Whether a line of a log can be read."""
    try:
        return lines.parse_line(text) is not None
    except lines.LineError:
        return False


def prepared(shared: Path, named: list[str]) -> None:
    """Write a model and a collection that keeps it busy; for the distillation the teacher's vectors too."""
    write_model(shared / "model")
    write_collection(shared / "wings", documents=60_000, queries=20)
    if "align" in named:
        judged = write_collection(shared / "few", documents=200, queries=20) / "qrels"
        shutil.copy(judged / "test.tsv", judged / "train.tsv")
        words = [*FMBENCH, "distill", "teacher", "--platform", "cpu", "--model_name", shared / "model", "--dataset",
                 shared / "few", "--split", "train", "--teacher_dir", shared / "teacher"]  # fmt: skip
        subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def main(named: list[str] | None = None) -> int:
    """Run the cases named, or all, with every signal; return 1 where one did not end as promised.

    After SIGKILL temporary files may stay, until the next program removes them.
    """
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        every = cases(shared)
        wanted = named or list(every)
        prepared(shared, wanted)
        for name in wanted:
            for number in SIGNALS:
                said, good = trial(every[name], number, shared / f"{name}-{number.name}")
                kept.append(good)
                sys.stdout.write(f"{name:9} {number.name:8} {said}{'' if good else '  <- NOT AS PROMISED'}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{len(kept)} ends, {kept.count(False)} not as promised\n")
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
