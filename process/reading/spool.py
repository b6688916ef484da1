"""Shapes that wait in a temporary file: a log may have more of them than there is memory for."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

from fmbench import lines
from fmbench.summary import Summary
from fmbench.whole_file import written

from .shape import Shape

PLAIN = (
    "input_size", "batch_size", "variant", "requested", "start", "phases", "statistics", "recompiled", "memory",
    "energy", "standing", "pair", "processes", "failure", "settled", "expected", "latest", "doubt", "lost", "line",
    "announced",
)  # fmt: skip


class Spool:
    """Shapes in order, an object a line."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (lives as long as the spool)

    def append(self, shape: Shape) -> None:
        """Put one shape away; it is settled, and nothing is added to it any more."""
        shape.settle()
        parts: dict[str, Any] = {name: getattr(shape, name) for name in PLAIN}
        parts["result"] = shape.result and astuple(shape.result)
        parts["figures"] = shape.figures and astuple(shape.figures)
        with written(tempfile.gettempdir()):
            self._file.write(json.dumps(parts) + "\n")

    def __iter__(self) -> Iterator[Shape]:
        with written(tempfile.gettempdir()):
            self._file.seek(0)
        for text in self._file:
            parts = json.loads(text)
            result, figures = parts.pop("result"), parts.pop("figures")
            yield Shape(**parts, result=result and lines.Res(*result), figures=figures and Summary(*figures))
