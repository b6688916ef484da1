"""`fmbench results list`, `show` and `query`: what is in a store, and whose names mean what."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from fmbench.process.cli import main as process_main
from fmbench.process.writing.groups import resolve
from fmbench.process.writing.show import main as show_main

from .conftest import COMMAND, files

# Ctrl-C comes when DuckDB is at work, wherever the tests run.
INTERRUPTED = """
import signal, sys, threading
from fmbench.process.store import query
from fmbench.process.store.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
real, here = query.rows_of, threading.main_thread().ident
def rows_of(found):
    threading.Timer(0.5, signal.pthread_kill, [here, signal.SIGINT]).start()
    return real(found)
query.rows_of = rows_of
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def three(results, log):
    """Three entries on two machines, by name."""
    paths = [log("a.log"), log("b.log", latency=3.0, start=1_700_100_000), log("c.log", cpu="Xeon", latency=4.0)]
    return results("add", *paths).out


# -- list


def test_a_row_an_entry(results, three, golden_log):
    results("add", golden_log)
    header, *rows = results("list").out
    assert header.split() == ["machine", "run", "models", "platforms", "results", "failed"]
    assert sorted("/".join(row.split()[:2]) for row in rows) == sorted([*three, *results("add", golden_log).out])
    (golden,) = [row for row in rows if "example-9000" in row]
    assert golden.split()[-2:] == ["7", "2"]


def test_a_list_in_json(results, three):
    entries = json.loads("\n".join(results("list", "--format", "json").out))
    assert [f"{entry['machine']}/{entry['run']}" for entry in entries] == sorted(three)
    assert {key: entries[0][key] for key in ("started", "driver", "models", "platforms", "results", "failed")} == {
        "started": "2023-11-14T22:13:20Z", "driver": "embed", "models": ["org/m"], "platforms": ["cpu"], "results": 1,
        "failed": 0,
    }  # fmt: skip


def test_a_terminal_obeys_nothing_in_a_log(results, log):
    results("add", log(model="a\x1b[2Jb", driver="../\x1b]0;x"))
    (_, row) = results("list").out
    assert "\x1b" not in row
    assert "-x-" in row and ".." not in row


# -- which entries


def test_entries_are_chosen_by_name_machine_or_beginning(results, three):
    epyc, xeon = sorted({name.partition("/")[0] for name in three})
    assert len(results("list", epyc).out) == 3
    assert len(results("list", "amd").out) == 3
    assert len(results("list", xeon).out) == 2
    assert len(results("list", "20231116").out) == 2  # how a run begins
    assert len(results("list", three[0], three[0], three[2]).out) == 3
    assert len(results("list", f"results/{three[0]}/").out) == 2  # as the shell completes it


def test_a_machine_is_not_the_beginning_of_another(results, three):
    epyc = three[0].partition("/")[0]
    Path("results", epyc).rename("results/amd")
    Path("results", three[2].partition("/")[0]).rename("results/amd-2")
    assert len(results("list", "amd").out) == 3
    assert len(results("list", "am").out) == 4


@pytest.mark.parametrize("word", ["../x", "..", "/etc", "results/../..", "/", ".", "no-such"])
@pytest.mark.parametrize("command", ["list", "show", "check", "remove"])
def test_what_is_no_entry_is_refused(command, word, results, three):
    before = files(".")
    line = results(command, word, code=2).line
    assert f"{word}: no entry of results is called so, or begins so" in line
    assert files(".") == before


def test_the_nearest_name_is_told(results, three):
    machine, _, run = three[0].partition("/")
    assert f"did you mean {machine}" in results("show", machine.replace("epyc", "epic"), code=2).line
    assert run in results("show", run.replace("embed", "imbed"), code=2).line


# -- remove


def test_one_entry_is_removed(results, three):
    assert results("remove", three[2]).err == [f"note: removed {three[2]} from results"]
    assert sorted(f"{name}/driver.log.gz" for name in three[:2]) == [f for f in files("results") if f.endswith("gz")]
    assert not Path("results", three[2]).parent.exists()  # its last run
    assert results("check").out == []


def test_the_beginning_of_one_entry_removes_it(results, three):
    assert three[1] in results("remove", "20231116").err[0]


def test_what_could_be_several_is_not_removed(results, three):
    line = results("remove", "amd", code=2).line
    assert f"amd: could be any of 2 entries ({three[0]}, {three[1]}); name one" in line
    assert len(results("list").out) == 4


def test_the_last_entry_leaves_an_empty_store(results, log):
    (name,) = results("add", log()).out
    results("remove", name)
    assert files("results") == ["store.json"]
    assert len(results("list").out) == 1
    assert len(results("show").out) == 1
    assert results("query", "from results").out[0].startswith("machine")


@pytest.mark.parametrize("words", [["remove"], ["remove", ""], ["remove", "a", "b"], ["add"], ["query"], ["export"]])
def test_a_command_says_what_it_needs(words, results, three):
    assert results(*words, code=2).line.startswith(f"fmbench results {words[0]}: error: ")


def test_an_unknown_command_names_the_nearest(results):
    assert results("lits", code=2).line.startswith("fmbench results: error: unknown command 'lits'; did you mean list?")
    assert results(code=2).line.startswith("fmbench results: error: name a command: add, list, show, query, export,")
    assert "unknown argument '--stor'; did you mean --store? (see " in results("list", "--stor", "x", code=2).line


@pytest.mark.parametrize("command", ["add", "list", "show", "query", "export", "check", "remove"])
def test_every_command_teaches(command, results, capsys):
    with pytest.raises(SystemExit) as stopped:
        results(command, "--help")
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    assert f"  fmbench results {command}" in printed.partition("examples:")[2]


# -- show


def test_show_is_the_table_of_fmbench_show(results, golden_log, capsys):
    (name,) = results("add", golden_log).out
    show_main([str(golden_log)])
    expected = capsys.readouterr().out.splitlines()
    assert results("show", name).out == expected


@pytest.mark.parametrize("changed", [True, False])
def test_a_log_of_a_store_that_was_changed_is_told_by_every_command_that_reads_it(results, log, capsys, changed):
    (name,) = results("add", log()).out
    kept = Path("results", name, "driver.log.gz")
    text = gzip.decompress(kept.read_bytes())
    kept.write_bytes(gzip.compress(text.replace(b" 2.000 ", b" 1.000 ") if changed else text))
    for command in (show_main, lambda words: process_main(["--path", *words, "--out", "x.json"])):
        command(["results"])
        told = [line for line in capsys.readouterr().err.splitlines() if "was changed since it was kept" in line]
        assert len(told) == changed


def test_show_says_which_entry_a_row_is_of(results, three):
    header, *rows = results("show").out
    assert header.startswith("entry ")
    assert [row.split()[0] for row in rows] == sorted(three)
    assert len(results("show", "amd").out) == 3


def test_show_gives_the_medians_of_groups(results, three):
    assert [line.split()[-5:] for line in results("show", "--by", "cpu").out[1:]] == [
        ["2.50", "1670", "2", "2", "0"], ["4.00", "1000", "1", "1", "0"]
    ]  # fmt: skip
    assert "no result has such a key" in results("show", "--by", "nothing", code=2).line


# -- query


def test_a_query_gives_the_columns_of_process(results, golden_log, capsys):
    (name,) = results("add", golden_log).out
    process_main(["--path", str(golden_log), "--format", "csv"])
    expected = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    found = list(csv.DictReader(results("query", "from results", "--format", "csv").out))
    columns = ["machine", "run", *(key for key in expected[0] if key != "machine")]
    assert list(found[0])[: len(columns)] == columns
    short = list(found[0])[len(columns) :]  # what --by calls them
    assert {"platform", "threads", "torch", "dtype"} <= set(short)
    for row in found:
        assert [row.pop(name) for name in short] == [row[resolve(name, columns)] for name in short]
    assert [f"{row.pop('machine')}/{row.pop('run')}" for row in found] == [name] * 7
    for row, other in zip(found, expected, strict=True):
        for column, text in row.items():
            assert (
                text == other[column]
                or float(text) == float(other[column])
                or json.loads(text) == json.loads(other[column])
            ), column


def test_columns_have_types(results, golden_log):
    results("add", golden_log)
    described = json.loads("\n".join(results("query", "describe results", "--format", "json").out))
    types = {row["column_name"]: row["column_type"] for row in described}
    assert types["itl"] == "DOUBLE" and types["batch"] == "BIGINT" and types["statistics.stable"] == "BOOLEAN"
    assert types["opts"] == "VARCHAR[]" and types["statistics.interval"] == "DOUBLE[]"
    assert types["environment.threads"] == "BIGINT"


@pytest.mark.parametrize(("form", "expected"), [
    ("table", ["model  best  all", "org/m   2.0    3"]),
    ("csv", ["model,best,all", "org/m,2.0,3"]),
    ("json", ["[", '{"model": "org/m", "best": 2.0, "all": 3}', "]"]),
    ("markdown", ["| model | best | all |", "| --- | ---: | ---: |", "| org/m | 2.0 | 3 |"]),
])  # fmt: skip
def test_formats(form, expected, results, three):
    sql = 'SELECT model, min(itl) AS best, sum(1) AS "all" FROM results GROUP BY model'
    assert results("query", sql, "--format", form).out == expected
    assert results("query", sql, "--format", form, "--out", "x").out == []
    assert Path("x").read_text().splitlines() == expected


def test_an_answer_as_parquet(results, three):
    results("query", "select model, itl from results order by itl", "--format", "parquet", "--out", "x.parquet")
    assert pyarrow.parquet.read_table("x.parquet").to_pylist() == [
        {"model": "org/m", "itl": latency} for latency in (2.0, 3.0, 4.0)
    ]


def test_runs_are_a_table_too(results, three):
    sql = "select runs.run, itl from runs join results using (machine, run) where driver = 'embed' order by itl"
    assert [line.split()[0] for line in results("query", sql).out[1:]] == [name.partition("/")[2] for name in three]


def test_any_value_is_said(results, three):
    sql = (
        "select 'nan'::double n, 'inf'::double i, 1.5::decimal(4,1) d, 2::hugeint h, date '2024-01-02' t, {'a': [1]} s,"
        " null x, true b, 'a\nb|<c>' || chr(27) q, now() is not null w, [1.5, null] l"
    )
    (_, line, _) = results("query", sql, "--format", "json").out
    assert json.loads(line) == {
        "n": None, "i": None, "d": 1.5, "h": 2, "t": "2024-01-02", "s": {"a": [1]}, "x": None, "b": True,
        "q": "a\nb|<c>\x1b", "w": True, "l": [1.5, None],
    }  # fmt: skip
    (_, row) = results("query", sql).out
    assert "\x1b" not in row
    assert "a b\\|\\<c\\>" in results("query", sql, "--format", "markdown").out[2]


@pytest.mark.parametrize(("sql", "message"), [
    ("selec 1", 'Parser Error: syntax error at or near "selec"'),
    ("select p50 from results", 'Binder Error: Referenced column "p50" not found in FROM clause!'),
    ("from nothing", "Catalog Error: Table with name nothing does not exist!"),
    ("select 1/'x'", "Conversion Error"),
    ("select error('a' || chr(10) || 'b')", "a b"),
    (";", "the SQL asks for no rows"),
    ("--", "the SQL asks for no rows"),
])  # fmt: skip
def test_errors_are_one_line(sql, message, results, three):
    line = results("query", "--", sql, code=2).line
    assert message in line and line.startswith("fmbench results query: error: ") and "LINE 1" not in line


@pytest.mark.parametrize("sql", [
    "delete from results", "insert into runs select * from runs", "update results set itl = 1", "drop table results",
    "create table t as select 1", "alter table results add column x int",
])  # fmt: skip
def test_nothing_is_changed(sql, results, three):
    before = {file: Path("results", file).read_bytes() for file in files("results")}
    assert "read-only" in results("query", sql, code=2).line
    assert {file: Path("results", file).read_bytes() for file in files("results")} == before


REACHING = [
    "from read_csv('secret.csv')", "from 'secret.csv'", "select content from read_text('secret.csv')",
    "from glob('*')", "copy results to 'out.csv'", "attach 'other.duckdb'", "export database 'out'",
    "set enable_external_access = true", "reset enable_external_access", "install httpfs", "load httpfs",
    "from sniff_csv('secret.csv')", "from read_json('secret.csv')", "from read_parquet('*')",
]  # fmt: skip


@pytest.mark.parametrize("sql", REACHING)
def test_other_files_are_out_of_reach(sql, results, three):
    Path("secret.csv").write_text("word\nhunter2\n")
    before = files(".")
    said = results("query", sql, code=2)
    assert "hunter2" not in said.line
    assert files(".") == before


def test_other_files_are_in_reach_for_those_who_say_so(results, three):
    Path("other.csv").write_text("model,target\norg/m,2.5\n")
    sql = "select itl < target as good from results join 'other.csv' using (model) order by itl"
    assert results("query", sql, "--files").out == ["good", "true", "false", "false"]
    results("query", "copy runs to 'out.csv'", "--files")
    assert len(Path("out.csv").read_text().splitlines()) == 4
    assert "read-only" in results("query", "delete from results", "--files", code=2).line


def test_without_duckdb_one_line_says_what_to_install(results, three, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert results("query", "from runs", code=2).line == (
        "fmbench results query: error: SQL needs DuckDB: pip install 'fmbench[sql]'"
    )


def test_results_that_cannot_be_read_are_not_passed_over(results, three):
    for file in ("results.json", "driver.log.gz"):
        Path("results", three[0], file).write_text("[{")
    for words in (["query", "from results"], ["show"], ["export", "--out", "x"]):
        assert f"results/{three[0]}/driver.log.gz: cannot be read" in results(*words, code=2).err[-1]


@pytest.mark.slow
def test_the_store_imports_its_extras_when_they_are_used():
    code = (
        "import sys; from fmbench.process.store.cli import main\n"
        "try: main(['add', '--help'])\nexcept SystemExit: pass\n"
        "found = {'duckdb', 'fsspec', 'pyarrow', 'pandas', 'torch', 's3fs'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_terminal_is_told_how_far_it_is(results, log):
    log("a.log")
    log("b.log", latency=3.0)
    ours, theirs = os.openpty()
    words = [*COMMAND, "add", "a.log", "b.log"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "\r\x1b[K1 of 2: a.log: " in said and len(done.stdout.splitlines()) == 2


def test_an_answer_is_not_written_into_the_store(results, three):
    before = files("results")
    said = results("query", "FROM runs", "--format", "csv", "--out", "results/store.json", code=2).line
    assert said.endswith("--out results/store.json: lies in the store results; name a file outside of it")
    assert files("results") == before and results("check").out == []


def test_columns_of_one_name_are_no_json(results, three):
    said = results("query", "SELECT 1 AS a, 2 AS a", "--format", "json", code=2).line
    assert said.endswith("two columns are called a, which JSON cannot say; name one of them with AS")
    assert results("query", "SELECT 1 AS a, 2 AS a", "--format", "csv").out == ["a,a", "1,2"]


@pytest.mark.slow
def test_a_query_that_takes_too_long_can_be_ended(results, three):
    endless = "SELECT count(*) FROM range(1000000000000) a WHERE a.range % 7 = 3"
    command = [sys.executable, "-c", INTERRUPTED, "query", endless]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
