"""Run every script of this folder, and print what each counted: `python -m tests.trials`, or `make trials`."""

import subprocess
import sys
import time
from pathlib import Path

FEWER = {  # than alone: minutes, not hours
    "damaged_fields": ("1", "1000"),
    "load": ("--runs", "3", "--requests", "100000", "--seconds", "15"),
    "sweep": ("--kills", "30", "--cells", "60"),
    "store_at_once": ("--rounds", "1", "--readers", "10"),
}


def main() -> int:
    """Run them one after the other; return 1 where one of them did."""
    rows, failed = [], 0
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        start = time.monotonic()
        command = [sys.executable, "-m", f"tests.trials.{path.stem}", *FEWER.get(path.stem, ())]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        sys.stderr.write(done.stdout)
        counts = (done.stdout.splitlines() or ["said nothing"])[-1]
        rows.append(f"{path.stem:16} {time.monotonic() - start:6.0f} s  exit {done.returncode}  {counts}\n")
        failed += done.returncode != 0
    sys.stdout.writelines(rows)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
