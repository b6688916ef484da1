"""Programs that are killed, programs at once, full disks: a store has whole entries or none."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench import walk
from tests.programs import until

from .conftest import COMMAND, files, start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
# The program kills itself, as nobody can catch, when it is about to call one function of the operating system.
KILLED_AT = """
import os, signal, sys
import pathlib, shutil
module, name, count = sys.argv[1].rpartition(".")[0], sys.argv[1].rpartition(".")[2], int(sys.argv[2])
owner = {"pathlib.Path": pathlib.Path, "os": os}[module]
real = getattr(owner, name)
def fatal(*arguments, **options):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(owner, name, fatal)
from fmbench.process.store.cli import main
sys.exit(main(sys.argv[3:]))
"""

KEPT = "nothing was added by this, and what was there is kept"


def hidden(store="results"):
    return sorted(path.name for path in Path(store).glob(".unfinished-*"))


def killed_at(function, count, *words):
    """Run `fmbench results WORDS`, which kills itself at the count-th call of a function."""
    command = [sys.executable, "-c", KILLED_AT, function, str(count), *words]
    done = subprocess.run(command, check=False, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def store(results, log):
    """A store with one entry, whose name this is."""
    (name,) = results("add", log("first.log", latency=9.0)).out
    return name


def test_a_kill_while_the_log_is_read_leaves_no_entry(results, store, log):
    text = log().read_text()
    process = start("add", "-")
    process.stdin.write(text)
    process.stdin.flush()
    until(hidden)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(hidden()) == 1
    assert len(results("list").out) == 2  # a header and the first
    assert results("check", code=1).out == [
        f"{hidden()[0]}: was left by a program that was killed; the next add removes it"
    ]
    assert len(results("add", log()).out) == 1
    assert hidden() == []
    assert results("check").out == []


@pytest.mark.parametrize(("function", "count"), [
    ("os.fsync", 1), ("os.fsync", 2), ("os.fsync", 4), ("pathlib.Path.rename", 1), ("pathlib.Path.write_bytes", 1),
])  # fmt: skip
def test_a_kill_at_any_moment_leaves_no_half_entry(function, count, results, store, log):
    killed_at(function, count, "add", str(log()))
    assert len(results("list").out) == 2
    assert len(results("show").out) == 2
    results("check", code=1)
    assert results("add", log()).err == []
    assert results("check").out == []
    assert len(results("list").out) == 3


def test_a_kill_right_after_the_entry_is_there_leaves_it_whole(results, store, log):
    killed_at("os.fsync", 5, "add", str(log()))  # three files, their folder, and then the machine's
    assert results("check").out == []
    assert results("add", log()).err[0].endswith("is in results already")


def test_a_kill_before_the_first_entry_leaves_a_folder_that_still_becomes_a_store(results, log):
    killed_at("os.fsync", 1, "add", str(log()))
    assert all("/.unfinished-" in f"/{file}" for file in files("results"))
    results("add", log())
    assert results("check").out == []


def test_a_kill_while_an_entry_is_removed_leaves_none(results, store):
    killed_at("os.rmdir", 1, "remove", store)  # it is hidden by then
    assert len(results("list").out) == 1
    results("check", code=1)


def test_what_a_live_program_writes_is_not_cleaned_up(results, store, log):
    text = log().read_text()
    process = start("add", "-")
    try:
        process.stdin.write(text)
        process.stdin.flush()
        until(hidden)
        (alive,) = hidden()
        results("add", log("other.log", latency=5.0))
        assert hidden() == [alive]
        assert results("check").out == []
    finally:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert len(results("list").out) == 4 and out.strip() in "\n".join(files("results"))


def test_half_an_entry_is_none_and_is_made_whole(results, store, log):
    Path("results", store, "environment.json").unlink()
    assert len(results("list").out) == 1
    said = results("check", code=1).out
    assert said == [
        f"{store}: is half an entry, left by a program that was killed; add its driver.log.gz again, or remove it"
    ]
    assert results("add", f"results/{store}/driver.log.gz").out == [store]
    assert results("check").out == []


def test_half_an_entry_can_be_removed(results, store):
    Path("results", store, "environment.json").unlink()
    results("remove", store)
    assert files("results") == ["store.json"]


# -- at once


def at_once(count, words):
    """Start programs that wait for their standard input, let them all go, and return what they printed."""
    processes = [start(*words(number)) for number in range(count)]
    finished = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, finished
    return finished


@pytest.mark.slow
def test_different_logs_at_once_are_all_kept(results, log):
    for number in range(6):
        log(f"{number}.log", latency=2.0 + number)
    finished = at_once(6, lambda number: ["add", f"{number}.log"])
    assert len({out for out, _ in finished}) == 6
    assert len(results("list").out) == 7
    assert results("check").out == [] and hidden() == []


def test_a_store_that_begins_while_it_is_listed_is_one(results, log, monkeypatch):
    """Another program adds the first entry between two looks into the folder."""
    Path("results").mkdir()
    other, real, seen = log("other.log", latency=5.0), walk.inside, []

    def inside(folder):
        found = real(folder)
        if not seen:
            seen.append(folder)
            assert start("add", str(other)).wait(300) == 0
        return found

    monkeypatch.setattr(walk, "inside", inside)
    results("add", log())
    assert seen and len(results("list").out) == 3


@pytest.mark.slow
def test_the_same_log_at_once_is_kept_once(results, golden_log):
    finished = at_once(5, lambda number: ["add", str(golden_log)])
    assert len({out for out, _ in finished}) == 1
    assert sum("is in results already" in err for _, err in finished) == 4
    assert len(results("list").out) == 2
    assert results("check").out == [] and hidden() == []


# -- no room, no right


def test_a_full_disk_leaves_the_store_as_it_was(results, log, tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    log("first.log", latency=9.0)
    # A log that does not compress well, on a disk of its own of 64 KiB.
    noise = "".join(f"FMWORK REP {n} 9 1.000000000 2.000000000 0.{hash((n, 1)) % 10**9:09d}\n" for n in range(20_000))
    (tmp_path / "x.log").write_text(log("y.log").read_text() + noise)
    (tmp_path / "disk").mkdir()
    python = " ".join(f"'{word}'" for word in COMMAND)
    script = f"""
        mount -t tmpfs -o size=64k none disk || exit 77
        {python} add first.log --store disk/results || exit 1
        {python} add x.log --store disk/results; echo "exit $?"
        {python} check --store disk/results || exit 1
        find disk -name '.unfinished*'
        {python} list --store disk/results --format json
    """
    done = subprocess.run(["unshare", "-Urm", "bash", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no file system of one's own here")
    assert done.returncode == 0, done.stderr
    assert f"fmbench results add: error: disk/results: No space left on device; {KEPT}\n" in done.stderr
    first, code, *listed = done.stdout.splitlines()
    assert code == "exit 1"
    assert [f"{row['machine']}/{row['run']}" for row in json.loads("\n".join(listed))] == [first]


def test_a_file_that_grows_too_large_leaves_the_store_as_it_was(results, store, golden_log):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from fmbench.process.store.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    before = files("results")
    done = subprocess.run([sys.executable, "-c", code, "add", golden_log], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr == f"fmbench results add: error: results: File too large; {KEPT}\n"
    assert files("results") == before


def test_a_folder_that_cannot_be_written(results, log):
    target = Path("/proc/self/results")
    if not target.parent.exists():
        pytest.skip("no /proc")
    said = results("add", log(), "--store", target, code=1)
    assert said.line.startswith("fmbench results add: error: /proc/self/results: ")
