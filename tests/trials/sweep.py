"""SIGKILL of a sweep: `python -m tests.trials.sweep`.

A sweep of cells of the null platform is killed at random moments from its first cell to its last, and the same command
goes on. In the end the store must have every cell once and be sound. With --folder the trial itself may be stopped, and
goes on. --fake takes a stand-in for the command, which ends after 0.1 s: more kills then fall between two cells.
--harness tells what a sweep costs a cell instead: from the end of a cell's process to the start of the next one's, the
median.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median

from fmbench import children

from .signals import FMBENCH

LATER, FAKE_LATER = 3.0, 1.0  # seconds, the most: about a cell, or the start of a sweep
FAKE = Path(__file__).parents[1] / "process" / "sweep" / "fake_command.py"
WITH_FAKE = f"""\
import sys
from fmbench.process.sweep import cli, local
local.PROGRAM = (sys.executable, "-S", {str(FAKE)!r})
sys.exit(cli.main(sys.argv[1:]))
"""
SWEEP = """\
sweep: trial
store: {store}
run: driver
with: {{platform: "null", model_class: none, model_name: none, input_sizes: 8, batch_sizes: 1, reps: 10}}
matrix: {{seed: {cells}}}
"""


def write(folder: Path, name: str, cells: int, fake: bool = False) -> tuple[list[str], Path]:
    """Write a sweep file; return the command that runs it, and its store."""
    store, path = folder / name, folder / f"{name}.yaml"
    path.write_text(SWEEP.format(store=store, cells=list(range(1, cells + 1))))
    program = [sys.executable, "-c", WITH_FAKE] if fake else [*FMBENCH, "sweep"]
    return [*program, str(path)], store


def run(command: list[str]) -> None:
    """Run a sweep to its end."""
    with children.started(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        if process.wait():
            raise SystemExit(f"the sweep exited with {process.returncode}")


def said(store: Path) -> list[dict]:
    """Return what a store says of the cells of its entries."""
    return [json.loads(path.read_text())["run"]["cell"] for path in entries(store)]


def entries(store: Path) -> list[Path]:
    """Return what a store says of each of its entries."""
    return [*store.glob("[!.]*/*/environment.json")]  # what is unfinished may be gone by then


def kill(command: list[str], store: Path, cells: int, later: float) -> str:
    """Kill a sweep so many seconds after its store has so many cells; return what became of it."""
    before = len(entries(store))
    with children.started(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(entries(store)) < cells and process.poll() is None:
            time.sleep(0.02)
        try:
            process.wait(later)
            return "ended before they were killed"
        except subprocess.TimeoutExpired:
            process.kill()
    return "killed later" if len(entries(store)) > before else "killed before a cell of theirs had ended"


def killed(folder: Path, kills: int, cells: int, fake: bool) -> Counter[str]:
    """Kill a sweep so often, let it come to its end, and count."""
    command, store = write(folder, "killed", cells, fake)
    done = folder / "done.txt"
    done.touch()
    chance = random.Random(kills)
    moments = sorted((chance.randrange(cells), chance.random()) for _ in range(kills))
    for number, (had, part) in [*enumerate(moments, start=1)][len(done.read_text().splitlines()) :]:
        what = kill(command, store, had, part * (FAKE_LATER if fake else LATER))
        with done.open("a") as stream:
            stream.write(f"{what}\n")
        sys.stderr.write(f"{number}: {what}, {len(entries(store))} cells\n")
    run(command)
    found = Counter(done.read_text().splitlines())
    once = Counter(cell["id"] for cell in said(store) if cell["exit_code"] == 0)
    found["cells once each"] = sum(count == 1 for count in once.values())
    found["cells twice, lost or failed"] = cells + len(said(store)) - 2 * found["cells once each"]
    check = subprocess.run([*FMBENCH, "results", "check", "--store", str(store)], capture_output=True, text=True)
    found["problems that check finds"] = len(check.stdout.splitlines()) + (check.returncode not in (0, 1))
    found["files left"] = sum(1 for one in folder.glob("killed.yaml.running/**/*") if one.is_file())
    return found


def harness(folder: Path, cells: int) -> str:
    """Run a sweep undisturbed, and return what it costs a cell."""
    command, store = write(folder, "whole", cells)
    start = time.perf_counter()
    run(command)
    wall = time.perf_counter() - start
    found = sorted((float(cell["start"]), cell["seconds"]) for cell in said(store))
    gaps = [later - start - seconds for (start, seconds), (later, _) in pairwise(found)]
    own = sum(seconds for _, seconds in found)
    return (
        f"{cells} cells, {1e3 * median(gaps):.0f} ms from the end of a cell's process to the start of the next one's "
        f"(median; most {1e3 * max(gaps):.0f}); {1e3 * (wall - own) / cells:.0f} ms of the whole sweep a cell beside "
        f"the processes, which took {own / cells:.2f} s each\n"
    )


def main() -> int:
    """Print what was counted; return 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of the sweep (default: 50)")
    parser.add_argument("--cells", type=int, default=200, help="of the sweep (default: 200)")
    parser.add_argument("--folder", type=Path, help="keep everything here, and go on with it")
    parser.add_argument("--fake", action="store_true", help="kill a sweep of cells of 0.1 s")
    parser.add_argument("--harness", action="store_true", help="kill nothing, and time it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(exist_ok=True)
        if arguments.harness:
            sys.stdout.write(harness(folder, arguments.cells))
            return 0
        found = killed(folder, arguments.kills, arguments.cells, arguments.fake)
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in found.items()) + "\n")
    return int(found["cells once each"] != arguments.cells or found["problems that check finds"] > 0)


if __name__ == "__main__":
    sys.exit(main())
