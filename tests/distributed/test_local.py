"""Ranks that `--processes` starts, and how their job ends."""

import contextlib
import signal
import sys

import pytest

from fmbench import children
from fmbench.distributed import local

pytestmark = pytest.mark.slow

WAITS = "import time; print(flush=True); time.sleep(600)"
HEEDS_NOTHING = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
KILLS_ITSELF = "import os; os.kill(os.getpid(), 9)"


@pytest.fixture
def hurried(monkeypatch, programs):
    """Nobody waits long for what never comes."""
    for name, never in (("ALONE", WAITS), ("PATIENCE", WAITS), ("ASKED", HEEDS_NOTHING)):
        if any(never in program for program in programs):
            monkeypatch.setattr(local, name, 0.2)


def job(*programs: str) -> tuple[int, list[int]]:
    """Run a program a rank; return the job's exit code, and that of each rank."""
    with contextlib.ExitStack() as stack:
        ranks = [stack.enter_context(children.started([sys.executable, "-c", program])) for program in programs]
        for program, rank in zip(programs, ranks, strict=True):
            if WAITS in program:
                rank.stdout.readline()  # it has begun to wait
        code = local.wait_for_all(ranks)
    return code, [rank.returncode for rank in ranks]


@pytest.mark.parametrize(
    ("programs", "code", "codes", "said"),
    [
        (("", ""), 0, [0, 0], ""),
        (("raise SystemExit(2)", WAITS), 2, [2, -signal.SIGTERM], "rank 0 ended with exit code 2; the job ends\n"),
        ((WAITS, KILLS_ITSELF), 137, [-signal.SIGTERM, -9], "rank 1 was killed by signal 9 (SIGKILL), which a system "
         "sends where memory runs out; the job ends\n"),
        ((HEEDS_NOTHING, "raise SystemExit(3)"), 3, [-9, 3], "rank 1 ended with exit code 3; the job ends\n"),
        ((WAITS, ""), 143, [-signal.SIGTERM, 0], "rank 1 ended with exit code 0; the job ends\n"),
    ],
)  # fmt: skip
def test_the_end_of_one_rank_ends_the_job(hurried, capsys, programs, code, codes, said):
    assert job(*programs) == (code, codes)
    assert capsys.readouterr().err == said


def test_ranks_that_end_by_themselves_are_let(capsys):
    assert job("raise SystemExit(2)", "import time; time.sleep(0.5); raise SystemExit(1)") == (2, [2, 1])
    assert capsys.readouterr().err == ""
