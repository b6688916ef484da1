"""Results as a Parquet file, through pyarrow (extra `parquet`)."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, TextIO

from fmbench.distribution import to_install
from fmbench.errors import UsageError

from .columns import Cells, Kind, Table, text_of

BLOCK = 5000  # rows that are in memory at once

Kinds = Mapping[str, Kind]


def write_parquet(rows: Iterable[dict[str, Any]], stream: TextIO) -> None:
    """Write a Parquet file: one row a shape, null where nothing is known, lists as lists.

    Raises UsageError where pyarrow is missing, and where the stream is a terminal.
    """
    library()
    if stream.isatty():
        raise UsageError("--format parquet is no text: name a file with --out, or send it down a pipe")
    with Table(rows) as table:
        write_cells(table, kinds_of(table), stream.buffer)


def library() -> Any:
    """Return pyarrow. Raises UsageError where it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"Parquet needs pyarrow: {to_install('parquet')}") from None
    return pyarrow


def kinds_of(table: Table) -> dict[str, Kind]:
    """Return the kind of every column; one of which no value is known holds text."""
    return {name: table.kinds[name] or "text" for name in table.columns}


def write_cells(rows: Iterable[Cells], kinds: Kinds, stream: BinaryIO) -> None:
    """Write rows as a Parquet file with these columns."""
    pyarrow = library()
    with pyarrow.parquet.ParquetWriter(stream, schema_of(kinds), compression="zstd") as writer:
        for block in arrow_tables(rows, kinds):
            writer.write_table(block)


def schema_of(kinds: Kinds) -> Any:
    """Return the Arrow schema of columns."""
    types = arrow_types()
    return library().schema([(name, types[kind]) for name, kind in kinds.items()])


def arrow_tables(rows: Iterable[Cells], kinds: Kinds) -> Iterator[Any]:
    """Yield rows as Arrow tables, some thousand rows each."""
    pyarrow, types, schema = library(), arrow_types(), schema_of(kinds)
    rows = iter(rows)
    while block := list(itertools.islice(rows, BLOCK)):
        columns = [
            pyarrow.array([value_of(row.get(name), kind) for row in block], types[kind]) for name, kind in kinds.items()
        ]
        yield pyarrow.Table.from_arrays(columns, schema=schema)


def arrow_types() -> dict[Kind, Any]:
    """Return the Arrow type of each kind of column."""
    pyarrow = library()
    return {
        "truth": pyarrow.bool_(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "text": pyarrow.string(),
        "numbers": pyarrow.list_(pyarrow.float64()),
        "texts": pyarrow.list_(pyarrow.string()),
    }


def value_of(value: Any, kind: Kind) -> Any:
    """Return a cell's value as its column holds it."""
    if value is None:
        return None
    if kind == "text":
        return text_of(value)
    if kind == "number":
        return float(value)
    if kind == "texts":
        return [text_of(item) for item in value]
    return [float(item) for item in value] if kind == "numbers" else value
