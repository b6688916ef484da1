"""Programs are started as a user starts them, and ended by signals."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from fmbench import ending, leftovers
from fmbench.whole_file import part_beside
from tests.programs import command_of, rest, until, until_it_computes

pytestmark = pytest.mark.slow

HEAD = (
    "import hashlib, os, signal, sys, time\n"
    "from fmbench import children, ending\n"
    "from fmbench.console import run_main\n"
)
BODIES = {
    "python": "sleep()",
    "code that heeds nothing": "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",
    "a lost exception": "[lost() for _ in range(9)]",
    "a temporary folder": "keep()",
}
CHILD = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
PROGRAM = HEAD + (
    "from fmbench.leftovers import temporary_folder\n"
    "def sleep():\n"
    "    while True: time.sleep(0.02)\n"  # a signal just before a sleep begins is heeded behind it
    "def lost():\n"
    "    try: print('waiting', flush=True); sleep()\n"
    "    except KeyboardInterrupt: pass\n"
    "def late():\n"
    "    try:\n"
    "        print('waiting', flush=True)\n"
    "        sleep()\n"
    "    finally:\n"
    "        print('cleaning', flush=True)\n"
    "        time.sleep(0.4)\n"
    "        print('clean', flush=True)\n"
    "def works():\n"
    "    try:\n"
    "        print('waiting', flush=True)\n"
    "        sleep()\n"
    "    finally:\n"
    "        begin, own = time.monotonic(), time.thread_time()\n"
    "        while time.thread_time() < own + 0.5: pass\n"
    "        print('worked', time.monotonic() - begin, sep='\\n', flush=True)\n"
    "def keep():\n"
    "    with temporary_folder(): hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    "def body():\n"
    "    print('ready', flush=True)\n"
    "    {body}\n"
    "sys.exit(run_main('program', body))"
)


def heed_all() -> None:
    """Heed what the tests themselves may have been started to ignore: nohup ignores SIGHUP, and what it starts does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(body: str, **options: object) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **{"preexec_fn": heed_all, **options},
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_has_its_exit_code(sent: signal.Signals, code: int) -> None:
    process = started(BODIES["python"])
    process.send_signal(sent)
    _, said = rest(process)
    assert (process.returncode, said) == (code, "program: interrupted; what was printed so far is whole\n")


def test_what_belongs_together_is_done_to_its_end() -> None:
    steps = "print('one', flush=True); signal.raise_signal(signal.SIGTERM); print('two')"
    process = started(f"with ending.in_one(), ending.in_one(): {steps}; print('three')")
    assert rest(process) == ("one\ntwo\nthree\n", "program: interrupted; what was printed so far is whole\n")
    assert process.returncode == 143


def test_a_signal_while_a_child_is_started_is_heeded_and_the_child_is_ended() -> None:
    """Python loses what is raised in its hooks at a fork: by them the signal comes."""
    asks = "os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGINT))"
    process = started(f"{asks}; children.run([sys.executable, '-c', 'import time; time.sleep(600)'])")
    assert rest(process)[1] == "program: interrupted; what was printed so far is whole\n"
    assert process.returncode == 130


def test_a_forked_child_is_not_in_what_its_parent_does_in_one() -> None:
    forks = "with ending.in_one(): reader, writer = os.pipe(); child = os.fork()"
    child = "os.write(writer, b'.'); sleep()"
    body = f"{forks}\n    if not child: {child}\n    os.read(reader, 1); os.kill(child, 15); print(os.wait()[1] >> 8)"
    process = started(body)
    out, said = rest(process)
    assert (process.returncode, out.splitlines()[-1]) == (0, "143"), said


@pytest.mark.parametrize(
    ("body", "begun"),
    [("code that heeds nothing", until_it_computes), ("a lost exception", lambda process: process.stdout.readline())],
)
def test_nothing_holds_the_end_up(body: str, begun: Callable[[subprocess.Popen], object]) -> None:
    process = started(BODIES[body])
    begun(process)
    process.terminate()
    _, said = rest(process)
    assert process.returncode == 143 and said.startswith("interrupted; ended without waiting")


def test_a_program_that_is_stopped_meanwhile_has_its_time_all_the_same() -> None:
    process = started("from fmbench import ending; ending.PATIENCE = 1; late()")
    assert process.stdout.readline() == "waiting\n"  # a signal before it tries to would end it without more
    process.terminate()
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    out, said = rest(process)
    assert (process.returncode, out) == (143, "clean\n") and said.startswith("program: interrupted;")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be put on one CPU here")
def test_time_in_which_others_have_the_cpu_is_not_the_main_threads() -> None:
    """Half a second of work after it was asked, beside eight that compute: four seconds and more."""
    crowd = "import contextlib; from fmbench import ending; ending.PATIENCE = 1.5; stack = contextlib.ExitStack()"
    alone = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    computes = "[sys.executable, '-c', 'while True: pass']"
    others = f"[stack.enter_context(children.started({computes})) for _ in range(8)]"
    process = started(f"{crowd}; {alone}; {others}; works()")
    assert process.stdout.readline() == "waiting\n"
    process.terminate()
    out, said = rest(process)
    assert (process.returncode, out.splitlines()[0]) == (143, "worked"), said
    assert float(out.splitlines()[1]) > 1.5, "the others had no time"


def test_time_that_is_left_to_the_main_thread_is_its_own(monkeypatch) -> None:
    given = [0.0] * 10 + [ending.STEP] * 9

    class Thread:
        """A fake: a thread that a disk holds up for ten steps."""

        def had(self, _: float) -> float:
            return given.pop(0)

    monkeypatch.setattr(ending.MainThread, "own", Thread)
    ending.pause(2 * ending.STEP)
    assert len(given) == 7


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_child_outlives_its_parent(sent: signal.Signals, tmp_path: Path) -> None:
    process = started(f"children.run([sys.executable, '-c', {CHILD!r}])", cwd=tmp_path)
    until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
    child = (tmp_path / "pid").read_text()
    assert command_of(child)
    process.send_signal(sent)
    rest(process)
    until(lambda: not command_of(child))  # PR_SET_PDEATHSIG ends it a moment later


def test_what_is_ignored_stays_ignored() -> None:
    ignores = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = started("sys.stdin.read()", stdin=subprocess.PIPE, **ignores)
    process.send_signal(signal.SIGHUP)
    process.stdin.close()
    _, said = rest(process)
    assert process.returncode == 0, said


FIRST_COUNTS = """
import signal
from fmbench.ending import Terminated, exit_code, terminable
try:
    with terminable():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGTERM)
except Terminated as raised:
    assert exit_code(raised) == 129
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    print("the first")
"""


def test_the_first_signal_counts() -> None:
    """In a process of its own: what other tests left of handlers would end this one."""
    ended = subprocess.run(
        [sys.executable, "-c", FIRST_COUNTS], capture_output=True, text=True, timeout=300, preexec_fn=heed_all
    )
    assert (ended.returncode, ended.stdout) == (0, "the first\n"), ended.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_program_removes_what_a_killed_one_left(sent: signal.Signals, tmp_path: Path, monkeypatch) -> None:
    """One that has to end where it stands removes its own."""
    process = started(BODIES["a temporary folder"], env={**os.environ, "TMPDIR": str(tmp_path)})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (theirs,) = until(lambda: [path for path in tmp_path.iterdir() if path.is_dir()])  # files come and go first
    until_it_computes(process)
    with leftovers.temporary_folder():
        assert theirs.is_dir()  # it runs
    process.send_signal(sent)
    rest(process)
    assert theirs.exists() == (sent == signal.SIGKILL)
    leftovers._cleaned.clear()  # as another program
    with leftovers.temporary_folder() as mine:
        assert list(tmp_path.iterdir()) == [Path(mine)]


def test_what_is_held_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    name = uuid.uuid4().hex
    others = [f"a.{name}.part", f".{name}", f"fmbench-{name}", "fmbench-abcdefgh", ".a.part"]
    for other in [*others, f".a.json.{name}.part"]:
        (tmp_path / other).write_text("")
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / f"fmbench-{name}-abcdefgh").symlink_to(target)
    with part_beside(tmp_path / "b") as mine:
        leftovers._cleaned.clear()
        with part_beside(tmp_path / "b") as second:
            left = {path.name for path in tmp_path.iterdir()}
    assert left == {*others, "target", f"fmbench-{name}-abcdefgh", mine.name, second.name}


def test_what_a_forked_child_is_told_is_not_told_to_its_parent() -> None:
    forks = "reader, writer = os.pipe(); child = os.fork(); child or (os.write(writer, b'.'), sleep())"
    process = started(f"{forks}; os.read(reader, 1); os.kill(child, 15); os.wait(); time.sleep(4)")
    rest(process)
    assert process.returncode == 0
