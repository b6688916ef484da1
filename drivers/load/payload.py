"""What is sent: texts, and the bodies of requests, written before anything is timed."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmbench.collection import Dataset
from fmbench.collection.files import RowError, full_lines_of, lines_of
from fmbench.collection.rows import json_object
from fmbench.console import note
from fmbench.digest import digest_of_json
from fmbench.errors import UsageError

from .arguments import LoadArguments
from .endpoint import Endpoint

MOST_TOKENS = 5_000_000  # of made-up texts: some 30 MB
MOST, LEAST = 10_000, 500  # distinct texts, and requests; then the first comes again
PASSES = 2  # over the texts, each with other neighbours in a request
SPECIAL = 2  # tokens that a tokenizer puts around a text
SHORTEST, LONGEST = SPECIAL + 1, 100_000  # tokens of a made-up text
# Words that are one token each in the vocabularies of the field.
COMMON = """
the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one
you were all her she there would their we him been has when who will no more if out so up said what its about than
into them can only other time new some could these two may first then do any like my now over such our man me even
most made after also did many off before must well back through years much where your way down should because long
each just those people how too little state good very make world still see own work men day get here between both
life being under three never know same last another while us might great go year come since against
"""
WORDS = COMMON.split()
Requests = tuple[list[list[str]], list[float] | None]  # texts of each, and when it is due where a trace says so


@dataclass(frozen=True)
class Payload:
    """Requests: the texts of each, and its body; `due` are seconds from the start where a trace says them."""

    texts: Sequence[Sequence[str]]
    bodies: Sequence[bytes]
    due: Sequence[float] | None = None

    @property
    def digest(self) -> str:
        """Return what tells these texts from others."""
        return digest_of_json([list(texts) for texts in self.texts])


def lengths_of(said: str) -> Callable[[random.Random], int]:
    """Return what draws a length in tokens, as --tokens says it. Raises UsageError."""
    form, _, rest = said.partition(":")
    try:
        if form == "uniform":
            low, high = map(int, rest.split("-"))
            if SHORTEST <= low <= high <= LONGEST:
                return lambda draw: draw.randint(low, high)
        elif form == "lognormal":
            median, sigma = map(float, rest.split(","))
            if SHORTEST <= median <= LONGEST and 0 <= sigma <= 5:
                return lambda draw: max(SHORTEST, min(LONGEST, round(draw.lognormvariate(math.log(median), sigma))))
        elif not rest and SHORTEST <= int(form) <= LONGEST:
            return lambda draw: int(form)
    except ValueError:
        pass
    raise UsageError(
        f"--tokens {said}: write a number, uniform:16-128 or lognormal:MEDIAN,SIGMA (from {SHORTEST} tokens, "
        f"of which a model's tokenizer adds {SPECIAL}, to {LONGEST:,})"
    )


def made_up(length: int, draw: random.Random) -> str:
    """Return a text of so many tokens, those counted that a tokenizer puts around it."""
    return " ".join(draw.choices(WORDS, k=length - SPECIAL))


def read(arguments: LoadArguments) -> dict[int, Requests]:
    """Return the requests of each number of texts a request. Raises UsageError."""
    made = arguments.tokens is not None or arguments.trace is not None
    given = [] if made else given_texts(arguments)
    return {inputs: requests_of(arguments, inputs, given) for inputs in arguments.inputs_per_request}


def requests_of(arguments: LoadArguments, inputs: int, given: Sequence[str]) -> Requests:
    """Return the texts of every request: made up, as a trace says, or the given ones. Raises UsageError.

    Where a request has several, all texts come a second time with other neighbours: a service that gives a text its
    neighbour's vector then gives it two.
    """
    draw = random.Random(arguments.seed)  # noqa: S311 (texts, no secret)
    if arguments.trace is not None:
        return trace(arguments.trace, inputs, draw)
    count = max(LEAST, MOST // inputs)
    if arguments.tokens is not None:
        count = min(count, arguments.requests or count)
        texts = made_up_texts(lengths_of(arguments.tokens), count * inputs, inputs, draw)
    else:
        texts = list(given)
        draw.shuffle(texts)
        texts = texts[: count * inputs]
    requests = grouped(texts, inputs)
    for _ in range(1, PASSES if inputs > 1 else 1):
        draw.shuffle(texts)
        requests += grouped(texts, inputs)
    return requests, None


def made_up_texts(length: Callable[[random.Random], int], count: int, least: int, draw: random.Random) -> list[str]:
    """Return so many made-up texts, `least` at least; no more where they have MOST_TOKENS together."""
    texts: list[str] = []
    left = MOST_TOKENS
    while len(texts) < count and (left > 0 or len(texts) < least):
        tokens = length(draw)
        texts.append(made_up(tokens, draw))
        left -= tokens
    return texts


def grouped(texts: Sequence[str], inputs: int) -> list[list[str]]:
    """Return texts in requests; the last one is filled up with the first texts."""
    return [[texts[(start + place) % len(texts)] for place in range(inputs)] for start in range(0, len(texts), inputs)]


def given_texts(arguments: LoadArguments) -> list[str]:
    """Return the texts of a collection or a file, without blank ones. Raises UsageError where there are none."""
    if arguments.dataset is not None:
        dataset = Dataset.from_folder(arguments.dataset, None)
        source = dataset.corpus if arguments.part == "corpus" else dataset.queries
        found = [document.passage for document in source]
        name = f"--dataset {arguments.dataset}"
    else:
        path = arguments.texts or Path()
        found, name = [line.strip() for _, line in lines_of(path)], f"--texts {path}"
    texts = [text for text in found if text]
    if not texts:
        raise UsageError(f"{name}: holds no text")
    if blank := len(found) - len(texts):
        note(f"{name}: passes over {blank:,} blank of {len(found):,} texts")
    return texts


def trace(path: Path, inputs: int, draw: random.Random) -> Requests:
    """Read a trace; its moments count from the first one.

    Raises UsageError for a line that says no moment and no length, and where moments go back.
    """
    texts: list[list[str]] = []
    due: list[float] = []
    for number, line in full_lines_of(path):
        time, tokens, text = moment(line, f"--trace {path}, line {number}")
        if due and time < due[-1]:
            raise UsageError(f"--trace {path}, line {number}: its time is before that of the line above; sort them")
        texts.append([made_up(tokens, draw) if text is None else text for _ in range(inputs)])
        due.append(time)
    if not due:
        raise UsageError(f"--trace {path}: holds no request")
    return texts, [time - due[0] for time in due]


def moment(line: str, where: str) -> tuple[float, int, str | None]:
    """Return the time, and the tokens or the text, that a line of a trace says. Raises UsageError."""
    try:
        said = json_object(line)
        time, tokens, text = float(said["time"]), said.get("tokens"), said.get("text")
        made = type(tokens) is int and SHORTEST <= tokens <= LONGEST and text is None
        if math.isfinite(time) and (made or (tokens is None and isinstance(text, str) and text.strip())):
            return time, tokens or 0, text
    except RowError as error:
        raise UsageError(f"{where}: {error}") from None
    except (ValueError, KeyError, TypeError, OverflowError):
        pass
    raise UsageError(
        f'{where}: write {{"time": seconds, "tokens": count}}, from {SHORTEST} to {LONGEST:,}, or "text" instead of '
        '"tokens"'
    )


def written(endpoint: Endpoint, texts: Sequence[Sequence[str]], due: Sequence[float] | None) -> Payload:
    """Return texts with the bodies of their requests."""
    return Payload(texts, [endpoint.body(some) for some in texts], due)
