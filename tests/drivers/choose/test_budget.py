"""What `--budget` pays for: who is set up, the least rounds, and what is said where it does not do."""

import json
import re
from collections import Counter
from types import SimpleNamespace

from fmbench.drivers.choose import candidates, chooser, set_ups, turns
from fmbench.drivers.choose.chooser import Chooser
from fmbench.drivers.choose.entrant import Entrant
from fmbench.drivers.choose.entrants import Budget, Entrants
from fmbench.drivers.choose.turns import Turns

from .test_choose import FASTER, NOISY, RACE, WRONG, last, of


def test_how_long_judging_takes_and_what_the_budget_sets_up_is_said_before(choose, monkeypatch):
    monkeypatch.setattr(chooser, "SET_UPS", 1e-6)
    code, _, _, err = choose(*RACE, "--profile", "bulk")
    assert code == 0 and "judging, on top of --budget: up to " in err and "candidates encode 60 passages, " in err, err
    assert "--budget 200s: setting up takes " in err and "and 1 more waits: " in err
    assert set_ups.is_known(candidates.Planned("x", "", "")) is False


def test_what_the_budget_left_out_is_said_and_is_tried_where_the_same_log_goes_on(choose, monkeypatch, tmp_path):
    kept, ticket, bulk = tmp_path / "choice.json", tmp_path / "choice.md", ("--profile", "bulk")
    monkeypatch.setattr(chooser, "SET_UPS", 1e-6)
    code, written, out, err = choose(*RACE, *bulk, "--out", kept)
    assert (
        code == 0
        and "\nRaced: 2 of 3 candidates that can run here, as --budget allowed.\n" in out
        and f"{WRONG}: not tried: " in err
    ), err
    assert not of(written, "FID", variant=WRONG) and not of(written, "TURN", variant=WRONG)
    rows = {row["variant"]: row for row in json.loads(kept.read_text()) if row["workload"] == "choice"}
    assert {(row["choice"]["raced"], row["choice"]["untried"]) for row in rows.values()} == {(2, 1)}
    assert rows[WRONG]["error"]["type"] == "budget"
    monkeypatch.setattr(chooser, "SET_UPS", 0.6)
    taken = of(written, "TURN")
    assert choose(*RACE, *bulk, "--out", ticket)[0] == 0 and "unsupported" not in ticket.read_text()  # as it was
    code, written, out, err = choose(*RACE[:-1], "400s", *bulk)
    assert code == 0 and of(written, "TURN")[: len(taken)] == taken and of(written, "TURN", variant=WRONG), err
    assert "candidates that can run here" not in out and "not tried" not in out + err


def test_the_budget_that_would_do_is_not_rounded_down(capsys):
    costs = {"reference": 9.0, "one": 12.0}
    running = SimpleNamespace(
        _entrants=SimpleNamespace(reference=SimpleNamespace(name="reference"), costs=costs), _told=False,
        _budget=SimpleNamespace(seconds=20, left=19.8), _pending=["other"], _least_rounds=lambda more: rounds,
    )  # fmt: skip
    rounds = 8.0
    Chooser._tell_of_budget(running)
    assert "--budget 21s would" in capsys.readouterr().err  # (20 - 19.8 + 12) / 0.6 = 20.3
    running._told, rounds = False, 9.0
    Chooser._tell_of_budget(running)
    assert "--budget 22s would" in capsys.readouterr().err  # 20 - 19.8 + 12 + 9 = 21.2


def test_a_budget_for_nothing_says_what_would_do_once_the_reference_is_set_up(choose):
    code, written, _, err = choose(*NOISY, "--vs", FASTER, "--budget", "0.01s")
    assert code == 2 and "--budget 0.01s: 3 rounds of the reference and one candidate take " in err.splitlines()[-1]
    assert {data["variant"] for data in of(written, "PHASE", name="load")} == {"noisy float32"}
    least = int(re.search(r"give at least (\d+)s", err)[1])
    code, written, _, err = choose(*NOISY, "--vs", FASTER, "--budget", f"{10 * least}s")  # other work takes its part
    assert code == 0 and last(written, "bulk")["winner"] == FASTER, err


def test_a_budget_for_few_candidates_answers_of_those(choose, monkeypatch):
    """Three rounds of three candidates do not fit, those of two do."""
    monkeypatch.setattr(Entrants, "turn_seconds", lambda self, race: 12.0)
    code, written, out, err = choose(*RACE[:-1], "100s", "--profile", "bulk")
    assert code == 0 and "\nRaced: 2 of 3 candidates that can run here, as --budget allowed.\n" in out, err
    assert last(written, "bulk")["winner"] == FASTER and not of(written, "TURN", variant=WRONG)
    assert f"{WRONG}: not tried: 3 rounds with it take longer than what was left of --budget" in err
    assert "--budget 100s: setting up takes " in err and "and 1 more waits: " in err


def test_a_budget_that_a_round_shows_to_be_too_small_is_refused_before_it_is_spent(choose, monkeypatch):
    monkeypatch.setattr(Turns, "_round", lambda self, race, heat, number: self._budget.spend(9.0))
    monkeypatch.setattr(Budget, "left", property(lambda self: self.seconds - getattr(self, "spent", 0.0)))
    monkeypatch.setattr(Budget, "spend", lambda self, seconds: setattr(self, "spent", seconds), raising=False)
    code, _, _, err = choose(*RACE[:-1], "20s", "--profile", "bulk")
    assert code == 2 and "--budget 20s: a round of 3 candidates takes 9 s; give at least " in err.splitlines()[-1], err
    assert int(re.search(r"give at least (\d+)s", err)[1]) >= 9 + 3 * 9  # and what sets all up once more


def test_where_set_ups_spent_the_budget_the_least_rounds_are_raced(choose, monkeypatch):
    for one in (chooser, turns):
        monkeypatch.setattr(one, "SLACK", 1e6)
    code, written, out, err = choose(*NOISY, "--vs", FASTER, "--budget", "0.01s")
    assert code == 0 and "\nThe budget ended before the order was known.\n" in out, err
    for profile in ("online", "bulk"):
        assert {row["rounds"] for row in last(written, profile)["candidates"]} == {3}


def test_what_goes_on_after_the_budget_has_ended_is_judged_and_races_no_more(choose, stop_at, monkeypatch):
    stop_at(40)  # 6 whole rounds of three candidates in two profiles, and a turn of the 7th
    assert choose(*RACE)[0] == 130
    set_up, real = Counter(), Entrant.set_up
    monkeypatch.setattr(Entrant, "set_up", lambda self, *given: (set_up.update([self.name]), real(self, *given))[1])
    taken = stop_at(None)
    code, written, out, err = choose(*RACE[:-1], "1s")  # all turns together took more
    assert (code, taken) == (0, []) and max(set_up.values()) == 1, err
    assert "--budget 1s is spent, so that nobody races on; a larger --budget goes on with " in err
    assert "\nThe budget ended before the order was known.\n" in out
    assert {last(written, profile)["winner"] for profile in ("online", "bulk")} == {FASTER}
    set_up.clear()
    code, _, _, err = choose(*RACE[:-1], "1s")
    assert (code, taken, set_up) == (0, [], {}) and "--budget 1s is spent" in err, err
    code, written, _, err = choose(*RACE)
    assert code == 0 and taken and last(written, "bulk")["status"] == "final" and "is spent" not in err, err


def test_the_least_rounds_are_raced_though_the_budget_has_ended(choose, stop_at):
    stop_at(10)  # one round of each profile, and some turns of the second
    assert choose(*RACE)[0] == 130
    stop_at(None)
    code, written, _, err = choose(*RACE[:-1], "1s")
    assert code == 0, err
    for profile in ("online", "bulk"):
        assert {row["rounds"] for row in last(written, profile)["candidates"]} == {3}
