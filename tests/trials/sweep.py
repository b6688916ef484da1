"""SIGKILL of a sweep: `python -m tests.trials.sweep`.

A sweep of cells of the null platform is killed at random moments, and the same command goes on. In the end the store
must have every cell once and be sound. Then as many cells run undisturbed, and what the sweep itself costs a cell is
told: its wall clock without that of the cells' own processes, and without what a sweep costs that has nothing to do.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .signals import FMBENCH

SPREAD = 0.3, 15.0  # seconds after the start
SWEEP = """\
sweep: trial
store: {store}
run: driver
with: {{platform: "null", model_class: none, model_name: none, input_sizes: 8, reps: 10}}
matrix: {{batch_sizes: {cells}}}
"""


def write(folder: Path, name: str, cells: int) -> tuple[Path, Path]:
    """Write a sweep file; return it and its store."""
    store, path = folder / name, folder / f"{name}.yaml"
    path.write_text(SWEEP.format(store=store, cells=list(range(1, cells + 1))))
    return path, store


def run(path: Path) -> float:
    """Run a sweep to its end, and return the seconds that it took."""
    start = time.perf_counter()
    subprocess.run([*FMBENCH, "sweep", str(path)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def said(store: Path) -> list[dict]:
    """Return what a store says of the cells of its entries."""
    return [json.loads(path.read_text())["run"]["cell"] for path in store.glob("*/*/environment.json")]


def killed(folder: Path, kills: int, cells: int) -> Counter[str]:
    """Kill a sweep so often, let it come to its end, and count."""
    draw, found = random.Random(1), Counter()
    path, store = write(folder, "killed", cells)
    for number in range(kills):
        process = subprocess.Popen([*FMBENCH, "sweep", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(draw.uniform(*SPREAD))
            found["ended before they were killed"] += 1
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            found["killed"] += 1
        sys.stderr.write(f"{number + 1}: {len(said(store))} cells\n")
    run(path)
    once = Counter(cell["id"] for cell in said(store) if cell["exit_code"] == 0)
    found["cells once each"] = sum(count == 1 for count in once.values())
    found["cells twice, lost or failed"] = cells + len(said(store)) - 2 * found["cells once each"]
    check = subprocess.run([*FMBENCH, "results", "check", "--store", str(store)], capture_output=True, text=True)
    found["problems that check finds"] = len(check.stdout.splitlines()) + (check.returncode not in (0, 1))
    found["files left"] = sum(1 for one in folder.glob("killed.yaml.running/**/*") if one.is_file())
    return found


def main() -> int:
    """Print what was counted; return 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of the sweep (default: 50)")
    parser.add_argument("--cells", type=int, default=200, help="of the sweep (default: 200)")
    arguments = parser.parse_args()
    cells = arguments.cells
    with tempfile.TemporaryDirectory() as name:
        found = killed(Path(name), arguments.kills, cells)
        path, store = write(Path(name), "whole", cells)
        harness = (run(path) - sum(cell["seconds"] for cell in said(store)) - run(path)) / cells
    counts = ", ".join(f"{count} {what}" for what, count in found.items())
    sys.stdout.write(f"{counts}, {1e3 * harness:.0f} ms of harness a cell\n")
    return int(found["cells once each"] != cells or found["problems that check finds"] > 0)


if __name__ == "__main__":
    sys.exit(main())
