"""`fmbench results export`: a data set that others read as it is, of one schema however different the runs are."""

import json
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet
import pytest

from fmbench.process.writing.columns import known_columns

from ..log_lines import GOLDEN
from .conftest import files

duckdb = pytest.importorskip("duckdb", reason="pip install 'fmbench[test]'")


@pytest.fixture
def store(results, log):
    """Runs on three machines, whose facts differ in kind too."""
    logs = [
        GOLDEN, log("a.log", threads="four", seed=3), log("b.log", latency=3.0, cpu="Xeon", cuda=None, deep={"a": 1}),
        log("c.log", latency=4.0, cpu="Xeon", deep={"a": 1.5}),
    ]  # fmt: skip
    return results("add", *logs).out


def dataset(folder):
    return pyarrow.dataset.dataset(str(folder), partitioning="hive")


def test_a_file_a_machine(results, store):
    machines = sorted({name.partition("/")[0] for name in store})
    said = results("export", "--out", "lake")
    assert said.out == [f"lake/machine={machine}/results.parquet" for machine in machines]
    assert files("lake") == ["_fmbench.json", *(f"machine={machine}/results.parquet" for machine in machines)]


def test_every_file_has_the_same_schema(results, store):
    results("export", "--out", "lake")
    schemas = [pyarrow.parquet.read_schema(path) for path in Path("lake").glob("*/*.parquet")]
    assert len(schemas) == 3
    assert all(schema.equals(schemas[0]) for schema in schemas)
    types = {field.name: str(field.type) for field in schemas[0]}
    known = [name for name in known_columns() if name != "machine"]  # that is the folder
    assert list(types)[: 1 + len(known)] == ["run", *known]
    assert types["opts"] == "list<element: string>" and types["statistics.interval"] == "list<element: double>"
    assert (types["batch"], types["itl"], types["statistics.stable"]) == ("int64", "double", "bool")
    assert types["environment.threads"] == "string"  # a number in some runs, a text in another
    assert (types["environment.seed"], types["environment.deep.a"]) == ("int64", "double")
    assert types["environment.cuda"] == "string"  # nothing is known of it


def test_pyarrow_reads_it(results, store):
    results("export", "--out", "lake")
    table = dataset("lake").to_table()
    assert table.num_rows == 10
    assert sorted(set(table["machine"].to_pylist())) == sorted({name.partition("/")[0] for name in store})
    assert sorted({f"{row['machine']}/{row['run']}" for row in table.to_pylist()}) == sorted(store)
    xeon = dataset("lake").to_table(filter=pyarrow.dataset.field("machine") == store[2].partition("/")[0])
    assert sorted(xeon["itl"].to_pylist()) == [3.0, 4.0]


def test_duckdb_reads_it_and_finds_what_query_finds(results, store):
    results("export", "--out", "lake")
    sql = (
        'select machine, run, model, input, batch, variant, itl, opts, "statistics.interval" as i from {} order by all'
    )
    _, *expected, _ = results("query", sql.format("results"), "--format", "json").out
    found = duckdb.sql(sql.format("read_parquet('lake/**/*.parquet', hive_partitioning = true)")).to_arrow_table()
    assert found.to_pylist() == [json.loads(line.rstrip(",")) for line in expected]


def test_a_second_export_replaces_the_first(results, store):
    results("export", "--out", "lake")
    results("remove", store[1])
    results("export", "--out", "lake")
    assert dataset("lake").to_table().num_rows == 9
    assert not any(store[1].partition("/")[0] in file for file in files("lake"))
    before = files("lake")
    results("export", "--out", "lake/")
    assert files("lake") == before


def test_a_folder_of_something_else_is_refused(results, store):
    Path("lake").mkdir()
    Path("lake", "letter.txt").write_text("dear")
    assert results("export", "--out", "lake", code=2).line.endswith(
        "lake: holds something else; name an empty or a new folder with --out"
    )
    assert files("lake") == ["letter.txt"]
    for inside in ("results", "results/lake"):
        said = results("export", "--out", inside, code=2).line
        assert said.endswith(f"--out {inside}: lies in the store results; name a folder outside of it")


def test_an_empty_store(results, log):
    results("remove", results("add", log()).out[0])
    said = results("export", "--out", "lake")
    assert (said.out, said.err) == ([], ["note: results: holds no entries, so that there is nothing to export"])


def test_an_unwritable_target(results, store):
    assert results("export", "--out", "a.log/lake", code=1).line.endswith("a.log/lake: Not a directory")
