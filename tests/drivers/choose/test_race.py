"""Who leaves a race, and when: pure turns, no model."""

import itertools
import random
import re
from dataclasses import replace

import pytest

from fmbench import stats
from fmbench.drivers.choose.decision import Known, choose, ties
from fmbench.drivers.choose.quality import Quality
from fmbench.drivers.choose.race import LEAVING, LOOKS, Lane, Race, Ratio, Turn, leaving_p
from fmbench.drivers.choose.records import on_front, pairs, row_of

SPREAD = 0.3  # of a turn, log-normal: a busy machine


def race(paces, rounds, seed=0, unlucky=0):
    """Return a race of a reference and others, and who left when; the first turns of `b` are 5 times as slow."""
    found, draw, gone = Race("online", "reference"), random.Random(seed), {}
    for name in ("reference", *paces):
        found.enter(name)
    for number in range(rounds):
        for name in found.live(0):
            pace = paces.get(name, 1.0) * (5 if name == "b" and number < unlucky else 1)
            taken = int(1e6 * pace * draw.lognormvariate(0, SPREAD))
            found.take(Turn("online", 0, number, name, 1, 10, taken, 1.0, 1.0))
        gone |= {name: number + 1 for name, _ in found.look(0, number + 1)}
    return found, gone


def test_a_candidate_with_bad_luck_at_first_stays_in():
    found, gone = race({"b": 0.5, "c": 2.0}, 40, unlucky=3)
    assert "b" in found.live(0) and 10 < gone["c"] <= 22, gone
    assert found.finalists()[0] == "b"


def test_nobody_leaves_before_the_test_can_tell():
    _, gone = race({"c": 20.0}, 10)
    assert not gone
    _, gone = race({"c": 20.0}, 11)
    assert gone == {"c": 11}


def test_who_left_is_no_tie_and_few_rounds_are_told_by_their_intervals():
    found, _ = race({"b": 0.5, "c": 2.0}, 5)
    assert not ties(found, "b", "c") and found.ratio("c", "b").pair.verdict is None
    found, _ = race({"b": 0.2}, 12)
    assert not ties(found, "b", "reference")  # no p can be below 0.1% so early
    found, gone = race({"b": 0.5, "c": 2.0}, 40)
    found.lanes[0, "c"].turns = {number: replace(turn, nanoseconds=found.lanes[0, "b"].turns[number].nanoseconds)
                                 for number, turn in found.lanes[0, "c"].turns.items()}  # fmt: skip
    assert "c" in gone and not found.ratio("c", "b").apart and not ties(found, "b", "c")


@pytest.mark.parametrize(("rounds", "told"), [(1, False), (2, False), (3, True)])
def test_too_few_rounds_have_no_interval(rounds, told):
    found, _ = race({"b": 0.1}, rounds)
    choice = choose(found, {name: Known(name, "", "") for name in ("reference", "b")})
    (place,) = [place for place in choice.places if place.known.name == "b"]
    assert place.speed > 1 and (place.interval is not None, found.is_slower("reference", "b")) == (told, told)
    assert len(list(pairs(found, choice))) == told


def test_what_is_five_times_as_fast_is_no_tie_though_no_test_of_ranks_can_tell():
    found = Race("bulk", "reference")
    for number, name in itertools.product(range(36), ("reference", "b")):
        drift = 0.2 * (1 + number / 360) if name == "b" else 1.0  # so that few rounds are independent
        found.take(Turn("bulk", 0, number, name, 1, 10, int(1e6 * drift), 1.0, 1.0))
    ratio = found.ratio("reference", "b")
    assert ratio.low > 3
    assert not ties(found, "b", "reference") and found.known(0)


def test_who_is_slower_than_one_that_is_slower_is_no_tie(monkeypatch):
    found, _ = race({"b": 0.9, "c": 0.95}, 1)
    told = {("reference", "b"): Ratio(1.1, 0.99, 1.2), ("c", "b"): Ratio(1.05, 1.04, 1.06),
            ("reference", "c"): Ratio(1.05, 1.04, 1.06)}  # fmt: skip
    monkeypatch.setattr(Race, "ratio", lambda self, one, other: told.get((one, other)))
    assert not ties(found, "b", "reference") and not ties(found, "b", "c")
    del told["reference", "c"]
    assert ties(found, "b", "reference")


def test_equal_candidates_stay_however_often_it_is_asked():
    left = [bool(race({"a": 1.0, "b": 1.0, "c": 1.0}, 60, seed)[1]) for seed in range(6)]
    assert sum(left) == 0


@pytest.mark.parametrize("turns", [2, 40])
def test_busy_periods_of_some_turns_in_a_row_let_no_equal_candidate_leave(turns):
    gone = []
    for seed in range(6):
        found, draw, busy = Race("online", "reference", seed=seed), random.Random(seed), 1.0
        for name in ("reference", "a", "b", "c"):
            found.enter(name)
        for number in range(60):
            for name in found.missing(0, number):
                busy = draw.choice([1.0, 6.0]) if draw.random() < 1 / turns else busy
                taken = int(1e6 * busy * draw.lognormvariate(0, 0.05))
                found.take(Turn("online", 0, number, name, 1, 10, taken, 1.0, 1.0))
            gone += found.look(0, number + 1)
    assert not gone


def stalled(seed, names, rounds=60):
    """Who leaves of two, `b` the faster by 5%; a tenth of the turns of those named takes three times as long."""
    found, draw = Race("online", "reference", seed=seed), random.Random(seed)
    paces = {"reference": 2.0, "a": 1.0, "b": 0.95}
    for name in paces:
        found.enter(name)
    gone = set()
    for number in range(rounds):
        for name in found.missing(0, number):
            stall = 3 if name in names and draw.random() < 0.1 else 1
            taken = int(1e6 * paces[name] * stall * draw.lognormvariate(0, 0.05))
            found.take(Turn("online", 0, number, name, 1, 10, taken, 1.0, 1.0))
        gone |= {name for name, _ in found.look(0, number + 1)}
    return gone


@pytest.mark.parametrize("names", [("reference", "a", "b"), ("b",)], ids=["all stall", "the better one alone"])
def test_stalls_of_some_turns_throw_the_better_one_of_two_out_no_more_often_than_is_said(names):
    left = sum("b" in stalled(seed, names) for seed in range(24))
    assert left <= 24 * LEAVING


def test_the_first_rounds_tell_who_was_fastest_whatever_came_later():
    found, _ = race({"b": 0.5, "c": 0.7, "d": 0.9}, 10)
    expected = found.order(0, 10)
    assert expected == ["b", "c", "d", "reference"]
    found.leave(0, "b", "slower, once it was busy")
    for number in range(10, 40):
        found.take(Turn("online", 0, number, "d", 1, 10, 1, 1.0, 1.0))
    found.enter("e")
    assert found.order(0, 10) == expected and found.finalists()[0] == "d"


def test_the_looks_share_one_error():
    assert leaving_p(3) == 0
    assert sum(leaving_p(number) for number in LOOKS) < 0.01 < 1.1 * sum(leaving_p(number) for number in LOOKS)


def test_whom_one_that_is_as_faithful_beats_is_not_on_the_front_whoever_is_judged():
    found, _ = race({"rounded": 0.2, "wrong": 0.1, "slow": 0.5}, 3)
    for name, mean in (("wrong", 0.9), ("rounded", 0.995), ("slow", 0.9949)):
        lane = found.lanes[0, name]
        lane.turns = {number: replace(turn, mean_cosine=mean) for number, turn in lane.turns.items()}
    known = {name: Known(name, "", "") for name in ("reference", "rounded", "wrong", "slow")}
    judged = replace(known["rounded"], quality=Quality(0.99, 0.995, 1.0, "shown", ndcg=0.78))
    for one in (known, {**known, "rounded": judged}):  # nDCG and cosines are not of one scale
        assert on_front(choose(found, one).places) == {"wrong", "rounded", "reference"}


def test_energy_is_of_the_turns_that_were_counted_or_a_reason():
    def spent(nanoseconds, joules):
        return Lane(0, turns={0: Turn("online", 0, 0, "x", 1, 10, nanoseconds, joules=joules)}).energy()

    assert spent(600_000_000, 2.0) == {"joules_per_million_tokens": 200_000.0}
    assert spent(150_000_000, 2.0) == {"joules_reason": "0.15 s are too short for the counter; 0.5 s is the least"}
    assert spent(600_000_000, 0.0) == {"joules_reason": "the counter did not move in 0.60 s"}
    assert spent(600_000_000, None) == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_ratio_is_within_its_interval_and_is_the_one_that_all_lines_say_however_busy_the_machine(seed):
    found, draw, busy = Race("online", "reference", seed=seed), random.Random(seed), 1.0
    for number in range(5 * (seed + 1)):
        for name, pace in (("reference", 1.0), ("b", 0.2)):
            busy = draw.choice([1.0, 3.0]) if draw.random() < 0.4 else busy
            taken = int(1e6 * pace * busy * draw.lognormvariate(0, 0.1))
            found.take(Turn("online", 0, number, name, 1, 10, taken, 1.0, 1.0))
    choice = choose(found, {name: Known(name, "", "") for name in ("reference", "b")})
    (place,) = [place for place in choice.places if place.known.name == "b"]
    (pair,) = pairs(found, choice)
    assert place.interval[0] <= place.speed <= place.interval[1]
    assert [1 / pair["ratio"], [1 / end for end in reversed(pair["interval"])]] == [place.speed, place.interval]
    row = row_of("online", place, None, front=True)
    assert (row["speed"], row["interval"]) == (place.speed, place.interval)
    settled = [stats.median(stats.settled([turn.nanoseconds for turn in found.lanes[0, name].turns.values()]))
               for name in ("reference", "b")]  # fmt: skip
    assert place.speed == pytest.approx(settled[0] / settled[1])


@pytest.mark.parametrize(
    ("rounds", "ends"), [(3, r" times \(.*\), in 2 rounds that count, too few for a test"), (40, r" times \(.*\)")]
)
def test_why_says_where_only_few_rounds_count(rounds, ends):
    found, _ = race({"b": 0.01}, rounds)
    good = Quality(1.0, 1.0, 1.0, "shown")
    choice = choose(found, {name: Known(name, "", "", quality=good) for name in ("reference", "b")})
    assert choice.winner == "b" and re.fullmatch(rf"faster than reference: [\d.]+{ends}", choice.why), choice.why


@pytest.mark.parametrize(
    ("pace", "quality", "why"),
    [
        (2.0, None, "nobody is faster"),  # who is surely slower is not judged
        (0.5, Quality(0.1, 0.2, 0.3, "worse"), "the only one that is shown to keep enough"),
        (2.0, Quality(0.1, 0.2, 0.3, "worse"), "nobody is faster"),
    ],
)
def test_why_of_the_only_one_that_keeps_enough_is_quality_where_somebody_is_faster(pace, quality, why):
    found, _ = race({"b": pace}, 20)
    good = {"reference": Quality(1.0, 1.0, 1.0, "shown"), "b": quality}
    choice = choose(found, {name: Known(name, "", "", quality=said) for name, said in good.items()})
    assert (choice.winner, choice.why) == ("reference", why)


def test_that_nobody_is_faster_is_no_more_than_the_intervals_say():
    found, _ = race({"b": 2.0}, 2)
    found.take(Turn("online", 0, 2, "reference", 1, 10, 1_000_000, 1.0, 1.0))
    found.take(Turn("online", 0, 2, "b", 1, 10, 300_000, 1.0, 1.0))
    known = {name: Known(name, "", "") for name in ("reference", "b")}
    known["reference"] = replace(known["reference"], quality=Quality(1.0, 1.0, 1.0, "shown"))
    choice = choose(found, known)
    assert choice.places[1].interval[1] > 1 > choice.places[1].speed
    assert choice.why == "nobody is faster, as far as can be told"


@pytest.mark.parametrize(
    ("times", "winner", "why"),
    [
        ((1.03, 0.99, 1.07), "reference", "as fast as b, as far as can be told, and simpler"),
        ((1.06, 0.70, 1.60), "reference", "as fast as b, as far as can be told, and simpler"),
        ((1.17, 0.99, 1.27), "b", "faster than reference: 1.17 times (0.99 to 1.27), which is not sure"),
        ((3.65, 0.70, 8.50), "b", "faster than reference: 3.65 times (0.70 to 8.50), which is not sure"),
        ((1.17, 1.12, 1.27), "b", "faster than reference: 1.17 times (1.12 to 1.27)"),
    ],
)
def test_what_is_simpler_is_run_unless_it_is_probably_slower(monkeypatch, times, winner, why):
    """So many times as long as b does the reference take: noise alone ties nobody with what was measured far ahead."""
    found, _ = race({"b": 1.0}, 1)
    value, low, high = times
    told = {("reference", "b"): Ratio(*times), ("b", "reference"): Ratio(1 / value, 1 / high, 1 / low)}
    monkeypatch.setattr(Race, "ratio", lambda self, one, other: told.get((one, other), Ratio(1.0, 1.0, 1.0)))
    good = Quality(1.0, 1.0, 1.0, "shown")
    known = {name: Known(name, "", "", quality=good, facts={"precision": precision})
             for name, precision in (("reference", "float32"), ("b", "int8"))}  # fmt: skip
    choice = choose(found, known)
    assert (choice.winner, choice.why) == (winner, why)
    assert choice.ties == ([] if low > 1 else ["b" if winner == "reference" else "reference"])


@pytest.mark.parametrize(
    ("times", "winner"),
    [
        ([214 / 30, 97 / 99.8], "reference"),
        ([1.06, 0.99], "reference"),
        ([7.0, 6.0], "b"),  # which the answer says are too few for 95%
        ([7.0, 6.0, 5.0], "b"),
        ([7.0, 6.0, 0.9], "reference"),
    ],
)
def test_few_rounds_run_what_is_simpler_unless_all_say_otherwise(times, winner):
    """So many times as long as b took the reference, in the rounds that count; the first one does not."""
    found = Race("online", "reference")
    for number, ratio in enumerate([1.0, *times]):
        for name, taken in (("reference", 10_000_000 * ratio), ("b", 10_000_000)):
            found.take(Turn("online", 0, number, name, 1, 10, int(taken), 1.0, 1.0))
    good = Quality(1.0, 1.0, 1.0, "shown")
    known = {name: Known(name, "", "", quality=good, facts={"precision": precision})
             for name, precision in (("reference", "float32"), ("b", "int8"))}  # fmt: skip
    assert choose(found, known).winner == winner
