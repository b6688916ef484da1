"""`fmbench results query`: SQL over a store, by DuckDB (extra `sql`), on a copy that can only be read."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmbench.distribution import to_install
from fmbench.errors import UsageError, one_line
from fmbench.history import ignore
from fmbench.leftovers import temporary_folder

from ..writing.groups import short_names
from ..writing.parquet import arrow_tables, kinds_of, library, schema_of
from .rows import RUNS, results_table, runs, with_place_first
from .store import Store, Warn

SHUT: dict[str, Any] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "lock_configuration": "true",
}
# What helps, by what DuckDB says.
FIXES = {
    "Referenced table": 'columns such as "environment.threads" stand in double quotes',
    "disabled by configuration": "--files lets the SQL read other files",
    "Table with name": "there are two tables, results and runs",
}


@contextmanager
def answer(store: Store, sql: str, files: bool, warn: Warn) -> Iterator[Any]:
    """Yield what SQL gives, as an Arrow table. With `files`, it may read other files, and write them.

    Raises UsageError where DuckDB is missing, and for SQL that it refuses.
    """
    try:
        import duckdb
    except ImportError:
        raise UsageError(f"SQL needs DuckDB: {to_install('sql')}") from None
    library()
    with temporary_folder() as folder:
        path = Path(folder, "store.duckdb")
        with duckdb.connect(str(path)) as connection:
            fill(connection, store, warn)
        with duckdb.connect(str(path), read_only=True, config={} if files else SHUT) as connection:
            try:
                if len(connection.extract_statements(sql)) > 1:
                    raise UsageError("the SQL has several statements, and one can be answered; ask them one by one")
                table = interruptible(connection, lambda: rows_of(connection.sql(sql)))
            except duckdb.Error as error:
                raise UsageError(told(error)) from None
            if table is None:
                raise UsageError("the SQL asks for no rows; try: SELECT * FROM results LIMIT 5")
            yield table


def rows_of(found: Any) -> Any:
    """Return an answer as an Arrow table, None where SQL gives none."""
    return None if found is None else found.to_arrow_table()


def interruptible(connection: Any, ask: Callable[[], Any]) -> Any:
    """Return what DuckDB answers. It looks at no signal while it computes, so it does that in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(ask)
        try:
            return answered.result()
        except BaseException:
            connection.interrupt()
            raise


def fill(connection: Any, store: Store, warn: Warn) -> None:
    """Make the tables `results` and `runs`."""
    names = store.names()
    with results_table(store, names, warn) as table:
        kinds = with_place_first(kinds_of(table))
        short = short_names(kinds)
        kinds |= {name: kinds[long] for name, long in short.items()}
        rows = ({**row, **{name: row.get(long) for name, long in short.items()}} for row in table)
        insert(connection, "results", itertools.chain([schema_of(kinds).empty_table()], arrow_tables(rows, kinds)))
    insert(
        connection,
        "runs",
        itertools.chain([schema_of(RUNS).empty_table()], arrow_tables(runs(store, names, ignore), RUNS)),
    )


def insert(connection: Any, name: str, blocks: Iterator[Any]) -> None:
    """Make a table of Arrow tables, of which the first is empty and says what the columns are."""
    connection.from_arrow(next(blocks)).create(name)
    for block in blocks:
        connection.from_arrow(block).insert_into(name)


def told(error: Exception) -> str:
    """Return what DuckDB says, without the picture of the query, and what helps."""
    text = one_line(type(error)(str(error).partition("\n\nLINE ")[0]))
    return text + next((f"; {fix}" for sign, fix in FIXES.items() if sign in text), "")
