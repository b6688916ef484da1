"""How many of N programs that write to one store at once do what they should: `python -m tests.trials.store_at_once`.

Every program adds a log of its own to a store that is not there yet, or lists the store meanwhile. All wait, imported,
until the last one is there, and go at the same moment. Docs: docs/reliability.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fmbench import lines

# Waits until the parent closes its end of the pipe that standard input is.
PROGRAM = "import sys; from fmbench.process.store.cli import main; sys.stdin.read(); sys.exit(main(sys.argv[1:]))"
START = 1_700_000_000


def write_log(folder: Path, number: int) -> Path:
    """Write a log of one result, unlike any other, and return its path."""
    moment = (START + number) * 10**9
    rows = [
        lines.JsonLine("LOG", {"format": 1, "program": "fmbench 0.1.0", "driver": "embed"}),
        lines.JsonLine("ENV", {"platform": "cpu", "cpu": "AMD EPYC", "cpu_cores": 2, "threads": 2}),
        lines.Res(moment, moment + 10**9, "org/m", "BertModel", 16, 4, 2.0 + number / 1000, 2000.0),
    ]
    path = folder / f"{number}.log"
    path.write_text("".join(f"{row.format()}\n" for row in rows))
    return path


def at_once(commands: Sequence[Sequence[str]], folder: Path) -> list[tuple[int, str, str]]:
    """Run `fmbench results` with each command line at the same moment; return exit codes, stdout and stderr."""
    waiting, go = os.pipe()
    programs = []
    for number, words in enumerate(commands):
        with (folder / f"{number}.out").open("w") as out, (folder / f"{number}.err").open("w") as err:
            programs.append(
                subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdin=waiting, stdout=out, stderr=err)
            )
    os.close(waiting)
    os.close(go)
    codes = [program.wait() for program in programs]
    return [
        (code, (folder / f"{number}.out").read_text(), (folder / f"{number}.err").read_text())
        for number, code in enumerate(codes)
    ]


def round_of(programs: int, readers: int) -> Counter[str]:
    """Run one round in a store of its own, and count what came out."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = ["--store", str(folder / "store")]
        adds = [["add", str(write_log(folder, number)), *store] for number in range(programs)]
        at_once([["add", str(write_log(folder, programs)), *store]], folder) if readers else None
        said = at_once([*adds, *([["list", *store]] * readers)], folder)
        for code, _, err in said:
            found["programs"] += 1
            found["failed"] += code != 0
            if code:
                found[err.strip().splitlines()[-1].replace(name, "...")[:150] if err.strip() else f"exit {code}"] += 1
        (listed,), (checked,) = (at_once([words], folder) for words in (["list", "--format", "json", *store],
                                                                         ["check", *store]))  # fmt: skip
        kept = {f"{row['machine']}/{row['run']}" for row in json.loads(listed[1])}
        found["logs"] += programs
        found["logs without an entry"] += programs + bool(readers) - len(kept)
        found["printed names without an entry"] += sum(out.strip() not in kept for _, out, _ in said[:programs])
        found["problems that check finds"] += len(checked[1].splitlines())
        found["left unfinished"] += sum(path.name.startswith(".") for path in (folder / "store").rglob("*"))
    return +found


def main() -> int:
    """Run the rounds and print what was counted; return 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200, help="that add at once (default: 200)")
    parser.add_argument("--readers", type=int, default=0, help="that list at the same time (default: none)")
    parser.add_argument("--rounds", type=int, default=5, help="each in a store of its own (default: 5)")
    arguments = parser.parse_args()
    found: Counter[str] = Counter()
    for _ in range(arguments.rounds):
        found += round_of(arguments.programs, arguments.readers)
        sys.stderr.write(f"{dict(found)}\n")
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in found.items()) + "\n")
    return int(set(found) > {"programs", "logs"})


if __name__ == "__main__":
    sys.exit(main())
