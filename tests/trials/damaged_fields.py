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
FORMATS = ("json", "jsonl", "csv", "markdown", "openmetrics")


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value below a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield (*above, key)
        yield from places(below, (*above, key))


def replaced(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a copy of a value with a mark in one place."""
    if not path:
        return "\0"
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:])
    return copy


def damages(text: str) -> Iterator[str]:
    """Yield a log with one field damaged, for every field and every damage."""
    rows = text.splitlines()
    for number, row in enumerate(rows):
        if not row.startswith("FMWORK "):
            continue
        _, kind, body = [*row.split(" ", 2), ""][:3]
        if body.startswith("{"):
            data = json.loads(body)
            wrong = [
                f"FMWORK {kind} {json.dumps(replaced(data, path))}".replace('"\\u0000"', value)
                for path in places(data) for value in VALUES
            ]  # fmt: skip
        else:
            words = body.split(" ")
            wrong = [
                " ".join(["FMWORK", kind, *words[:at], value, *words[at + 1 :]])
                for at in range(len(words)) for value in VALUES
            ]  # fmt: skip
        for line in wrong:
            yield "\n".join([*rows[:number], line, *rows[number + 1 :]]) + "\n"


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


def all_damages() -> Iterator[tuple[Path, str]]:
    """Yield every damage of every golden log, with the path: gigabytes, if they were kept."""
    return ((path, text) for path in GOLDEN for text in damages(path.read_text()))


def drawn(seed: int, count: int) -> list[tuple[Path, str]]:
    """Return some of them, each as likely as any other; no more than these are in memory at once."""
    draw, kept = random.Random(seed), list[tuple[Path, str]]()
    for number, one in enumerate(all_damages()):
        if number < count:
            kept.append(one)
        elif (place := draw.randrange(number + 1)) < count:
            kept[place] = one
    return kept


def main() -> int:
    """Try all damages, or a random choice of them."""
    every: Iterable[tuple[Path, str]] = all_damages()
    if len(sys.argv) > 2:
        every = drawn(int(sys.argv[1]), int(sys.argv[2]))
    failed = tried = 0
    for number, (path, text) in enumerate(every):
        tried += 1
        found = internal_errors(text, pictures=number % 25 == 0)
        failed += bool(found)
        if found:
            clean = path.read_text().splitlines()
            line = next(new for new, old in zip(text.splitlines(), clean, strict=True) if new != old)
            print(f"{path}: {line}\n    " + "\n    ".join(found))
    print(f"{tried} damages, {failed} with an internal error")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
