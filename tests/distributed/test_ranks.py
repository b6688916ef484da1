"""Real processes on this machine, through gloo."""

import json
import signal
import sys
from itertools import chain

import pytest

from fmbench.distributed import watch

from .conftest import run
from .scenarios import QUERIES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ranks")]

WORLDS = sorted(QUERIES)
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def agreeing(launch):
    return launch(*(f"agree:{ranks}" for ranks in WORLDS))


@pytest.fixture(scope="module")
def ending(launch):
    """All jobs that end early, and some that must not."""
    return launch(
        "killed:4",
        "killed_unnoticed:3",
        "first_killed:3",
        "failing:3",
        "first_refusing:3",
        "failing_outside:3",
        "guest:2",
        "left_open:2",
        "slow:3",
    )


def test_a_job_ends_within_a_minute_of_a_death():
    """The times that the watch waits, one after the other, at worst."""
    assert watch.PATIENCE + 2 * watch.BEAT + watch.RELEASE + 2 * watch.GRACE < 45


@pytest.mark.parametrize("ranks", WORLDS)
def test_sending_weights_and_refusals(agreeing, ranks):
    """The ranks compare what they receive themselves."""
    said = [agreeing.said(f"agree:{ranks}", rank) for rank in range(ranks)]
    assert agreeing.exits[f"agree:{ranks}"] == [0] * ranks, said


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_a_run_is_the_same_whatever_the_number_of_ranks(agreeing, similarity):
    runs = {
        (agreeing.folder / f"{similarity}-{ranks}-{rank}.jsonl").read_bytes()
        for ranks in WORLDS
        for rank in range(ranks)
    }
    assert len(runs) == 1
    assert len(runs.pop().splitlines()) == 12


@pytest.mark.parametrize("sharded", [True, False])
def test_every_rank_gets_the_documents_that_it_asked_for(agreeing, sharded):
    answers = []
    for ranks in WORLDS:
        parts = [
            json.loads((agreeing.folder / f"retrieved-{sharded}-{ranks}-{rank}.json").read_text())
            for rank in range(ranks)
        ]
        assert [len(positions) for positions, _ in parts] == QUERIES[ranks]
        answers.append([list(chain(*lists)) for lists in zip(*parts, strict=True)])
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0][0]) == 12


@pytest.mark.parametrize(
    ("job", "victim", "reason"),
    [
        ("killed:4", 2, "died: no sign of life"),
        ("killed_unnoticed:3", 2, "died: no sign of life"),
        ("first_killed:3", 0, "died: its connections are closed"),
    ],
)
def test_a_rank_that_is_killed_ends_the_job_with_its_name(ending, job, victim, reason):
    exits = ending.exits[job]
    assert exits == [KILLED if rank == victim else 1 for rank in range(len(exits))]
    for rank in range(len(exits)):
        wanted = [] if rank == victim else [f"rank {victim} ({ending.host}) {reason}; the job ends"]
        assert ending.said(job, rank) == wanted


@pytest.mark.parametrize(
    ("job", "culprit", "text", "own", "code"),
    [
        ("failing:3", 1, "ValueError: a bad number", "failing: error: ValueError: a bad number (FMBENCH_DEBUG=1", 1),
        ("first_refusing:3", 0, "--corpus: is empty", "first_refusing: error: --corpus: is empty", 2),
    ],
)
def test_what_a_rank_fails_with_is_said_by_all(ending, job, culprit, text, own, code):
    assert ending.exits[job] == [code] * 3
    for rank in range(3):
        (line,) = ending.said(job, rank)
        if rank == culprit:
            assert line.startswith(own)
        else:
            assert line == f"rank {culprit} ({ending.host}) failed: {text}; the job ends"


def test_ranks_that_end_early_clean_up(ending):
    assert not list(ending.folder.glob("temporary-*"))


def test_an_exception_outside_of_a_context_ends_the_job_too(ending):
    assert ending.exits["failing_outside:3"] == [1, 1, 1]
    for rank in (0, 2):
        said = ending.said("failing_outside:3", rank)
        assert said == [f"rank 1 ({ending.host}) failed: ValueError: a bad number; the job ends"]


@pytest.mark.parametrize("job", ["guest:2", "left_open:2", "slow:3"])
def test_what_ends_as_it_should(ending, job):
    assert set(ending.exits[job]) == {0}, [ending.said(job, rank) for rank in range(len(ending.exits[job]))]


def test_torchrun_starts_ranks_and_a_dead_one_is_named(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "3"]
    code, said = run([*torchrun, "-m", "tests.distributed.scenarios", "killed_unnoticed", str(tmp_path)], 300)
    assert code != 0
    assert [line.partition(")")[2] for line in said.splitlines() if line.startswith("rank 2 (")] == [
        " died: no sign of life; the job ends"
    ] * 2
