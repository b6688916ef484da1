"""Forms of secrets on command lines that run, resume and fail, and harmless words that stay as they are.

    python -m tests.trials.secret_forms

Counts the forms that reach a log, standard error or a file beside them, and the harmless words that are masked.
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

from fmbench.drivers.embed import main as driver
from fmbench.secrets import masked
from tests.test_secrets import HARMLESS, NULL, SECRET, SEEN, S

FAILING = ("--platform", "--vs", "--threads")  # what a secret stands behind on a command line that is refused


def said(*words: str) -> str:
    """Return all that a driver says."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        driver([*NULL, *words])
    return out.getvalue() + err.getvalue()


def runs(name: str, value: str, folder: Path) -> str:
    """Return what a run, a run that goes on, and three that are refused say of a secret; and what they write."""
    option = f"--{name.replace('platform:', 'model:')}"
    text = said(f"{option}={value}", "--resume", str(folder / "run.log"))
    text += said(f"{option}={value}x", "--resume", str(folder / "run.log"))
    text += "".join(said(word, f"{option}={value}") for word in FAILING)
    return text + "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Count both, and return 1 where one is not 0."""
    os.environ["FMBENCH_DEBUG"] = ""
    seen = []
    for name, value in SECRET:
        with tempfile.TemporaryDirectory() as folder:
            text = runs(name, value, Path(folder))
        if not text or any(part in text for part in SEEN):
            seen.append(f"{name} {value.replace(S, 'SECRET')}")
    changed = [f"{name} {value}" for name, value in HARMLESS if masked(name, value) != value]
    print("\n".join([*seen, *changed]))
    print(f"{len(SECRET)} forms of a secret, {len(seen)} seen; {len(HARMLESS)} harmless words, {len(changed)} masked")
    return int(bool(seen or changed))


if __name__ == "__main__":
    sys.exit(main())
