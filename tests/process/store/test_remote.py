"""The same commands on an object store: S3, by a server on this machine, and a URL of a folder."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset
import pytest

from fmbench.process.comparing.compare import main as compare
from fmbench.process.store.store import MARKER, Store

from ..test_compare import log_text, noisy
from .conftest import files, keys, start

pytestmark = pytest.mark.slow

duckdb = pytest.importorskip("duckdb", reason="pip install 'fmbench[test]'")

# The program kills itself when it is about to call the upload function for the count-th time.
KILLED_AT = """
import os, signal, sys
import s3fs
name, count = sys.argv[1], int(sys.argv[2])
real = getattr(s3fs.S3FileSystem, name)
async def fatal(*arguments, **options):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return await real(*arguments, **options)
setattr(s3fs.S3FileSystem, name, fatal)
from fmbench.process.store.cli import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def url(s3):
    return s3[0]


# -- S3


def test_all_commands_on_s3(results, log, golden_log, s3, url):
    first = results("add", golden_log, "--store", url)
    (name,) = first.out
    assert first.err == [f"note: {url}: is a store from now on"]
    assert keys(s3) == sorted([
        "store.json", *(f"{name}/{file}" for file in ("driver.log.gz", "environment.json", "results.json")),
    ])  # fmt: skip
    (second,) = results("add", log(), "--store", url).out
    assert results("add", log(), "--store", url).err == [f"note: {log()}: is in {url} already"]
    assert len(results("list", "--store", url).out) == 3
    assert len(results("show", name, "--store", url).out) == 11
    assert results("show", name, "--store", url).out[-1].startswith("2 results failed, in 1 log (2 OutOfMemoryError)")
    assert results("check", "--store", url).err == [f"note: {url}: entries: 2, problems: 0"]
    assert results("query", "select count(*) as n from results", "--store", url, "--format", "csv").out == ["n", "8"]
    assert results("remove", second, "--store", url).err == [f"note: removed {second} from {url}"]
    assert len(keys(s3)) == 4
    assert len(results("list", f"{url}/{name}", "--store", f"{url}/").out) == 2


def test_the_entry_is_the_same_as_in_a_folder(results, golden_log, s3, url):
    results("add", golden_log, "--store", url)
    results("add", golden_log, "--store", "folder")
    address, client = s3
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    for file in files("folder"):
        content = client.get_object(Bucket=bucket, Key=f"{prefix}/{file}")["Body"].read()
        assert content == Path("folder", file).read_bytes(), file


def test_export_to_s3(results, golden_log, log, url, s3_server):
    results("add", golden_log, log(), "--store", url)
    lake = url.replace("/results", "/lake")
    said = results("export", "--store", url, "--out", lake)
    assert len(said.out) == 2 and all(line.startswith(f"{lake}/machine=") for line in said.out)
    import s3fs

    found = pyarrow.dataset.dataset(lake.removeprefix("s3://"), filesystem=s3fs.S3FileSystem(), partitioning="hive")
    assert found.to_table().num_rows == 8
    connection = duckdb.connect()
    connection.register_filesystem(s3fs.S3FileSystem())
    everything = connection.read_parquet(f"{lake}/*/*.parquet", hive_partitioning=True)
    assert everything.aggregate("count(*), count(distinct machine)").fetchall() == [(8, 2)]
    results("export", "--store", url, "--out", lake)
    assert "holds something else" in results("export", "--store", url, "--out", url, code=2).line


@pytest.mark.parametrize(("function", "count"), [("_put_file", 2), ("_put_file", 3), ("_pipe_file", 1)])
def test_a_kill_while_files_go_up_leaves_no_entry(function, count, results, log, golden_log, s3, url):
    """The marker, the log, the results, and at last environment.json, which makes them an entry."""
    words = [sys.executable, "-c", KILLED_AT, function, str(count), "add", str(golden_log), "--store", url]
    assert subprocess.run(words, check=False, timeout=300).returncode == -signal.SIGKILL
    half = [key for key in keys(s3) if key != "store.json"]
    assert not any(key.endswith("environment.json") for key in half)
    assert len(results("list", "--store", url).out) == 1
    said = results("check", "--store", url, code=int(bool(half))).out
    assert [line for line in said if "is half an entry, left by a program that was killed" in line] == said
    assert len(said) == (1 if half else 0)
    (name,) = results("add", golden_log, "--store", url).out
    assert results("check", "--store", url).out == []
    assert len(keys(s3)) == 4 and f"{name}/environment.json" in keys(s3)


def test_half_an_entry_on_s3_can_be_removed(results, golden_log, s3, url):
    words = [sys.executable, "-c", KILLED_AT, "_pipe_file", "1", "add", str(golden_log), "--store", url]
    subprocess.run(words, check=False, timeout=300)
    machine = next(key for key in keys(s3) if key != "store.json").partition("/")[0]
    results("remove", machine, "--store", url)
    assert keys(s3) == ["store.json"]


@pytest.mark.slow
def test_programs_at_once_on_s3(results, log, s3, url):
    for number in range(2):
        log(f"{number}.log", latency=2.0 + number)
    processes = [start("add", f"{number % 2}.log", "--store", url) for number in range(4)]
    finished = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, finished
    assert len({out for out, _ in finished}) == 2
    assert results("check", "--store", url).err == [f"note: {url}: entries: 2, problems: 0"]


def test_of_two_at_once_on_s3_one_is_first(results, golden_log, s3, url, monkeypatch):
    """Both saw no entry before they wrote one."""
    import s3fs

    (name,) = results("add", golden_log, "--store", url).out
    monkeypatch.setattr(Store, "holding", lambda *_: None)
    monkeypatch.setattr(s3fs.S3FileSystem, "exists", lambda _, path, *more, **named: path.endswith(MARKER))
    said = results("add", golden_log, "--store", url)
    assert (said.out, said.err) == ([name], [f"note: {golden_log}: is in {url} already"])


def test_what_was_changed_on_s3_is_found(results, golden_log, s3, url):
    (name,) = results("add", golden_log, "--store", url).out
    address, client = s3
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    key = f"{prefix}/{name}/results.json"
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.put_object(Bucket=bucket, Key=key, Body=body.replace(b"20.075", b"10.075"))
    assert results("check", "--store", url, code=1).out == [f"{name}: results.json: was changed since it was written"]


def test_a_neighbour_is_not_in_the_store(results, log, s3, url):
    results("add", log(), "--store", url)
    results("add", log(latency=3.0), "--store", f"{url}-2")
    assert len(results("list", "--store", url).out) == 2


# -- what cannot be


def test_what_is_not_there_or_no_store_on_s3(results, log, s3, url):
    address, client = s3
    bucket = address.removeprefix("s3://").partition("/")[0]
    for words in (["list"], ["show"], ["check"], ["query", "from runs"], ["export", "--out", "x"]):
        assert f"{url}: no store is there" in results(*words, "--store", url, code=2).line
    client.put_object(Bucket=bucket, Key="nightly/results/letter.txt", Body=b"dear")
    for words in (["add", log()], ["list"], ["remove", "x"]):
        assert f"{url}: is no store of results, it has no store.json" in results(*words, "--store", url, code=2).line
    assert keys(s3) == ["letter.txt"]


def test_a_bucket_that_is_not_there(results, log, s3):
    line = results("add", log(), "--store", "s3://no-such-bucket/results", code=1).line
    assert line.startswith("fmbench results add: error: s3://no-such-bucket/results: ") and "bucket" in line


@pytest.mark.parametrize(("url", "message"), [
    ("nope://bucket/x", "nope://bucket/x: Protocol not known: nope"),
    ("gs://bucket/x", "gs://bucket/x: Please install gcsfs"),
])  # fmt: skip
def test_a_protocol_that_is_not_there(url, message, results, log):
    if url.startswith("gs") and __import__("importlib").util.find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    assert message in results("list", "--store", url, code=2).line


def test_a_password_in_a_url_is_not_printed(results, log):
    line = results("list", "--store", "ftp://me:hunter2@127.0.0.1:1/x", code=1).line
    assert "hunter2" not in line and "ftp://***@127.0.0.1:1/x" in line


def test_without_fsspec_one_line_says_what_to_install(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    line = results("list", "--store", "s3://bucket/x", code=2).line
    assert line == "fmbench results list: error: s3://bucket/x needs fsspec: pip install 'fmbench[remote]'"


# -- other places


def test_a_url_of_a_folder_is_the_folder(results, log, tmp_path):
    (name,) = results("add", log(), "--store", f"file://{tmp_path}/results").out
    assert len(results("list").out) == 2
    assert results("check", "--store", f"file://{tmp_path}/results").out == []
    lake = f"file://{tmp_path}/lake"
    assert results("export", "--out", lake).out == [f"{lake}/machine={name.partition('/')[0]}/results.parquet"]
    assert pyarrow.dataset.dataset(str(tmp_path / "lake"), partitioning="hive").to_table().num_rows == 1
    assert results("remove", name, "--store", f"file://{tmp_path}/results").err


def test_any_protocol_of_fsspec_will_do(results, golden_log, log):
    """One that lives in this process's memory, and knows nothing of what S3 can do besides."""
    url = f"memory://store-{os.getpid()}/deep/results"
    (name,) = results("add", golden_log, "--store", url).out
    results("add", log(), "--store", url)
    assert results("add", golden_log, "--store", url).err == [f"note: {golden_log}: is in {url} already"]
    assert len(results("show", "--store", url).out) == 12
    assert results("check", "--store", url).err == [f"note: {url}: entries: 2, problems: 0"]
    results("remove", name, "--store", url)
    results("export", "--store", url, "--out", f"{url}-lake")
    assert len(results("list", "--store", url).out) == 2


def test_the_log_on_s3_is_the_log(results, golden_log, s3, url):
    (name,) = results("add", golden_log, "--store", url).out
    address, client = s3
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    packed = client.get_object(Bucket=bucket, Key=f"{prefix}/{name}/driver.log.gz")["Body"].read()
    assert gzip.decompress(packed) == golden_log.read_bytes()


def test_compare_takes_stores_at_urls(results, url, capsys, tmp_path):
    for place, ratio in ((url, 1.0), (f"{url}-after", 2.0)):
        Path("one.log").write_text(log_text({8: noisy(ratio)}))
        results("add", "one.log", "--store", place)
    assert compare([url, f"{url}-after", "--format", "json"]) == 0
    (shape,) = json.loads(capsys.readouterr().out)["comparisons"][0]["shapes"]
    assert (shape["verdict"], shape["base"]["n"]) == ("regression", 40) and shape["ratio"] == pytest.approx(2, rel=0.1)
    assert compare([f"{url}-nowhere", url]) == 2
    assert "no store is there" in capsys.readouterr().err
