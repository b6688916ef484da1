"""The measuring half: `fmbench tokenise` times a tokeniser on texts of some lengths, and prints TOK lines."""

import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fmbench import host, lines, session
from fmbench.console import run_main
from fmbench.errors import UsageError
from fmbench.facts import software_facts
from fmbench.measure import Clock
from fmbench.parsing import Once, Parser, positive, sizes

WORD = "embedding "
WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")

Tokeniser = Callable[[str], int]  # a text's tokens, counted


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main("fmbench tokenise", lambda: tokenise(sys.argv[1:] if argv is None else argv))


def tokenise(argv: Sequence[str]) -> int:
    """Measure what the command line asks for."""
    parser = Parser(prog="fmbench tokenise", allow_abbrev=False, description="Time a tokeniser.")
    parser.add_argument("--tokenizer", action=Once, metavar="FILE", help="a tokenizer.json; default: words and signs")
    parser.add_argument("--lengths", action=Once, type=sizes, default="16,128", metavar="N,...", help="words a text")
    parser.add_argument("--reps", action=Once, type=positive, default=10, help="passes over 100 texts a length")
    given = parser.parse_known(argv)
    count = tokeniser(given.tokenizer)
    with session.open("tokenise") as run:
        run.begin()
        run.log.write(lines.Arg("lengths", ",".join(map(str, given.lengths))))
        facts = {"platform": "cpu", "model": Path(given.tokenizer or "words and signs").name}
        run.describe({**software_facts(("tokenizers",)), **host.host_facts(), **facts})
        for length in given.lengths:
            run.log.write(lines.JsonLine("TOK", {"length": length, **measure(count, length, given.reps)}))
        run.end()
    return 0


def tokeniser(file: str | None) -> Tokeniser:
    """Return what counts tokens. Raises UsageError for a file that is no tokeniser."""
    if file is None:
        return lambda text: len(WORDS_AND_SIGNS.findall(text))
    try:
        from tokenizers import Tokenizer

        loaded = Tokenizer.from_file(file)
    except Exception as error:  # it raises nothing narrower
        raise UsageError(f"--tokenizer {file}: {error}") from None
    return lambda text: len(loaded.encode(text).ids)


def measure(count: Tokeniser, length: int, reps: int, texts: int = 100) -> dict[str, object]:
    """Return the start, and what each pass over the texts took."""
    text, start, nanoseconds, tokens = WORD * length, Clock().now(), [], 0
    for _ in range(reps):
        begun = time.perf_counter_ns()
        tokens = sum(count(text) for _ in range(texts))
        nanoseconds.append(time.perf_counter_ns() - begun)
    return {"start": lines.format_time(start), "texts": texts, "tokens": tokens, "nanoseconds": nanoseconds}
