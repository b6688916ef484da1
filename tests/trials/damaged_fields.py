"""Every field of every line of every golden log, replaced by what it cannot be: through all that reads a log.

    python -m tests.trials.damaged_fields [SEED COUNT]

Prints the damages after which something ended with an internal error, or failed and was left out; without arguments it
tries them all (minutes).
"""

import contextlib
import io
import json
import random
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fmbench.process.cli import main as process
from fmbench.process.comparing.compare import main as compare
from fmbench.process.store.cli import main as results
from fmbench.process.writing.show import main as show

GOLDEN = sorted(path for path in Path(__file__).parent.parent.glob("golden*/*.log"))
VALUES = ("null", '"x"', "{}", "[]", "-1", "1e400", "true", '{"a": {"b": [1]}}', "1e300", '["x", null]', "0")
INTERNAL = re.compile("FMBENCH_DEBUG|what it would have said is left out")
Damage = tuple[int, Any, str]  # the number of a line, the place in it, and what stands there instead
FORMATS = ("json", "jsonl", "csv", "markdown", "openmetrics")


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value below a value; of a list the ends, or most of all would be in its thousands."""
    ends = [*enumerate(value)][:: max(len(value) - 1, 1)] if isinstance(value, list) else ()
    for key, below in value.items() if isinstance(value, dict) else ends:
        yield (*above, key)
        yield from places(below, (*above, key))


def replaced(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a copy of a value with a mark in one place."""
    if not path:
        return "\0"
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:])
    return copy


def damages(text: str) -> Iterator[Damage]:
    """Yield every damage of a log."""
    for number, row in enumerate(text.splitlines()):
        if row.startswith("FMWORK "):
            body = parts(row)[1]
            found = places(json.loads(body)) if body.startswith("{") else range(len(body.split(" ")))
            yield from ((number, place, value) for place in found for value in VALUES)


def parts(row: str) -> list[str]:
    """Return the kind of a line and what it says."""
    return [*row.split(" ", 2)[1:], ""][:2]


def damaged(text: str, damage: Damage) -> str:
    """Return a log with one field damaged."""
    number, place, value = damage
    rows = text.splitlines()
    kind, body = parts(rows[number])
    if isinstance(place, tuple):
        body = json.dumps(replaced(json.loads(body), place)).replace('"\\u0000"', value)
    else:
        words = body.split(" ")
        body = " ".join([*words[:place], value, *words[place + 1 :]])
    rows[number] = f"FMWORK {kind} {body}"
    return "\n".join(rows) + "\n"


def readers(log: Path, folder: Path, pictures: bool) -> Iterator[tuple[Any, list[str]]]:
    """Yield every program that reads a log, with its arguments."""
    for form in FORMATS:
        yield process, ["--path", str(log), "--format", form]
    yield show, [str(log)]
    yield show, [str(log), "--by", "model"]
    yield compare, [str(log), str(log)]
    saved, store = folder / "saved.json", folder / "store"
    yield process, ["--path", str(log), "--out", str(saved)]
    yield show, [str(saved)]
    yield results, ["add", str(log), "--store", str(store)]
    yield results, ["show", "--store", str(store)]
    yield results, ["list", "--store", str(store)]
    if pictures:
        yield process, ["--path", str(log), "--plots", str(folder / "plots"), "--dashboard", str(folder / "page.html")]
        yield process, ["--path", str(log), "--format", "parquet", "--out", str(folder / "a.parquet")]
        yield results, ["query", "FROM results", "--store", str(store)]


def internal_errors(text: str, pictures: bool = True) -> list[str]:
    """Return what ends with an internal error on a log of this content."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "run.log"
        log.write_text(text)
        for program, arguments in readers(log, Path(name), pictures):
            err = io.StringIO()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
                program(arguments)
            found += [line for line in err.getvalue().splitlines() if INTERNAL.search(line)]
    return found


def all_damages() -> Iterator[tuple[Path, Damage]]:
    """Yield every damage of every golden log, with the log's path."""
    return ((path, damage) for path in GOLDEN for damage in damages(path.read_text()))


def drawn(seed: int, count: int) -> list[tuple[Path, Damage]]:
    """Return some of them, each as likely as any other."""
    return random.Random(seed).sample(list(all_damages()), count)


def main() -> int:
    """Try all damages, or a random choice of them."""
    every: Iterable[tuple[Path, Damage]] = all_damages()
    if len(sys.argv) > 2:
        every = drawn(int(sys.argv[1]), int(sys.argv[2]))
    failed = tried = 0
    for number, (path, damage) in enumerate(every):
        tried += 1
        text = damaged(path.read_text(), damage)
        found = internal_errors(text, pictures=number % 25 == 0)
        failed += bool(found)
        if found:
            print(f"{path}: {text.splitlines()[damage[0]]}\n    " + "\n    ".join(found))
    print(f"{tried} damages, {failed} with an internal error")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
