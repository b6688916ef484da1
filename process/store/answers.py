"""What a query gave, in the formats that results have."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TextIO

from fmbench.errors import UsageError
from fmbench.markdown import harmless, markdown
from fmbench.table import table

from ..writing import formats
from ..writing.columns import text_of
from ..writing.parquet import library


def plain(value: Any) -> Any:
    """Return a value as JSON can say it: times as text, what is no finite number as null."""
    if isinstance(value, Decimal):  # what DuckDB's sums of whole numbers are
        value = float(value) if value.as_tuple().exponent else int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def rows_of(found: Any) -> Iterator[list[Any]]:
    """Yield the rows of an Arrow table, some at a time as Python values."""
    for batch in found.to_batches(max_chunksize=5000):
        columns = [column.to_pylist() for column in batch.columns]
        yield from ([plain(value) for value in row] for row in zip(*columns, strict=True))


def texts(found: Any) -> Iterator[list[str]]:
    """Yield the rows as people read them."""
    return ([harmless(text_of(value)) for value in row] for row in rows_of(found))


def numeric(found: Any) -> list[int]:
    """Return which columns hold numbers."""
    types = library().types
    return [
        place
        for place, field in enumerate(found.schema)
        if types.is_integer(field.type) or types.is_floating(field.type) or types.is_decimal(field.type)
    ]


def write_table(found: Any, stream: TextIO) -> None:
    """Write aligned columns for a terminal."""
    stream.write(table([harmless(name) for name in found.column_names], list(texts(found)), numeric(found)))


def write_markdown(found: Any, stream: TextIO) -> None:
    """Write a table for people."""
    stream.write(markdown(found.column_names, texts(found), numeric(found)))


def write_csv(found: Any, stream: TextIO) -> None:
    """Write a header and a line a row. Lists are JSON, null is empty."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(found.column_names)
    writer.writerows([text_of(value) for value in row] for row in rows_of(found))


def write_json(found: Any, stream: TextIO) -> None:
    """Write a list of objects, a line each."""
    names = found.column_names
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"two columns are called {twice[0]}, which JSON cannot say; name one of them with AS")
    formats.write_json((dict(zip(names, row, strict=True)) for row in rows_of(found)), stream)


def write_parquet(found: Any, stream: TextIO) -> None:
    """Write a Parquet file, with the types that the query gave. Raises UsageError where the stream is a terminal."""
    if stream.isatty():
        raise UsageError("--format parquet is no text: name a file with --out, or send it down a pipe")
    library().parquet.write_table(found, stream.buffer, compression="zstd")


WRITERS: Mapping[str, Callable[[Any, TextIO], None]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
    "markdown": write_markdown,
    "parquet": write_parquet,
}
