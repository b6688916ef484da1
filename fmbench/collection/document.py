"""A document, or a query: what has an id and a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its id. A query is a document without a title."""

    id: str
    text: str
    title: str = ""

    @property
    def passage(self) -> str:
        """What is encoded: title, one space, text; without blanks at the ends."""
        return f"{self.title} {self.text}".strip()
