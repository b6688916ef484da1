"""Pages by their titles: the files that DPR and RAG evaluate with, one question a line, titles joined by tabs."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fmbench.collection import Texts
from fmbench.collection.files import lines_of
from fmbench.errors import UsageError, nearest
from fmbench.whole_file import whole_file

Titles = list[str]  # of one question, in rank order
NONE = "none"
STEPS: dict[str, Callable[[str], str]] = {
    NONE: str,
    "nfc": lambda title: unicodedata.normalize("NFC", title),
    "casefold": str.casefold,
    "quotes": lambda title: unquoted(title),
    "underscores": lambda title: title.replace("_", " "),
    "spaces": lambda title: " ".join(title.split()),
}


def unquoted(title: str) -> str:
    """Return a title without one leading and one trailing double quote, as prediction files have it."""
    return title.removeprefix('"').removesuffix('"')


def predicted(title: str) -> str:
    """Return a title of the corpus as a predictions file holds it: without blanks around it, and unquoted.

    Whoever judges titles and whoever writes them for later must begin with the same ones, or the figures differ.
    """
    return unquoted(title.strip(" ")).strip(" ")


def normaliser(steps: str) -> Callable[[str], str]:
    """Return what makes two spellings of a title one: the steps of a comma list, in their order.

    `none` changes nothing. Raises UsageError for an unknown step.
    """
    names = [name.strip() for name in steps.split(",")]
    for name in names:
        if name not in STEPS:
            raise UsageError(f"no title normalisation {name!r}{nearest(name, STEPS)}; there are {', '.join(STEPS)}")

    def normalise(title: str) -> str:
        for name in names:
            title = STEPS[name](title)
        return title

    return normalise


def read_pages(path: Path) -> list[Titles]:
    """Return the titles of each line; a blank line has none.

    Blanks around a title are not part of it: the published script strips whole lines, so that the last title of a
    line would differ from the same one in the middle of another. An empty title between tabs keeps its rank.
    """
    return [[title.strip(" ") for title in line.split("\t")] if line.strip(" ") else [] for _, line in lines_of(path)]


def write_pages(pages: Iterable[Sequence[str]], target: Path) -> None:
    """Write one question a line, the titles as they are; `as_pages` has given them the form of such a file.

    Raises UsageError for a title that holds a tab or a line break.
    """
    with whole_file(target) as stream:
        for titles in pages:
            for title in titles:
                if re.search(r"[\t\n\r]", title):
                    raise UsageError(f"the title {title!r} holds a tab or a line break, which the file cannot hold")
            stream.write("\t".join(titles) + "\n")


def titles_of(corpus: Texts, documents: Iterable[str]) -> dict[str, str]:
    """Return the titles of some documents, in one pass over the corpus."""
    wanted = frozenset(documents)
    return {document.id: document.title for document in corpus if document.id in wanted}


def as_pages(rankings: Iterable[Sequence[str]], titles: Mapping[str, str]) -> list[Titles]:
    """Return the title of each document of each ranking, as `predicted`. A document without one keeps its rank."""
    return [[predicted(titles.get(document, "")) for document in ranking] for ranking in rankings]
