"""`fmbench choose` on a tiny model and a fake noisy platform, in this process."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fmbench import backend, cli, lines
from fmbench.checks import check_command
from fmbench.drivers.choose import candidates, set_ups
from fmbench.drivers.choose.entrant import Entrant
from fmbench.drivers.choose.entrants import Entrants
from fmbench.drivers.choose.judging import Judge
from fmbench.ending import Terminated
from fmbench.errors import UsageError
from fmbench.tasks.named import LocalTask

NOISY = ("--platforms", "noisy", "--platform:pace", "10", "--threads", "1", "--tokens_per_batch", "1024")
FASTER = "--platform:pace 5"
WRONG = "--platform:pace 2.5, --platform:wrong 1"  # as tables have it
RACE = (*NOISY, "--vs", FASTER, "--vs", WRONG.replace(",", ""), "--budget", "200s")


def of(written, kind, **wanted):
    return [
        line.data for line in written
        if lines.is_json(line, kind) and all(line.data.get(key) == value for key, value in wanted.items())
    ]  # fmt: skip


def last(written, profile):
    return of(written, "CHOICE", profile=profile)[-1]


def test_the_faster_faithful_one_wins_and_the_wrong_one_does_not(choose):
    code, written, out, err = choose(*RACE, "--price", "3.6")
    assert code == 0 and "J/M tokens" in out and "cost/M tokens" in out, err
    for profile in ("online", "bulk"):
        found = last(written, profile)
        rows = {row["name"]: row for row in found["candidates"]}
        assert (found["winner"], found["ties"]) == (FASTER, []), found
        assert rows[FASTER]["kept"] == rows["noisy float32"]["kept"] == "shown" != rows[WRONG]["kept"]
        assert rows[FASTER]["least_cosine"] == 1 and rows[WRONG]["mean_cosine"] < 0.99
        assert rows[FASTER]["interval"][0] <= rows[FASTER]["speed"] <= rows[FASTER]["interval"][1]
        assert rows[FASTER]["front"] and not rows["noisy float32"]["front"]
        turns = of(written, "TURN", profile=profile)
        assert len(turns) == len({(turn["variant"], turn["round"]) for turn in turns})
        own = [turn for turn in turns if turn["variant"] == FASTER]
        tokens, joules = (sum(turn[key] for turn in own) for key in ("tokens", "joules"))
        seconds = 1 / rows[FASTER]["texts_per_second"] if profile == "bulk" else rows[FASTER]["latency_ms"] / 1e3
        assert rows[FASTER]["rounds"] == len(own)
        assert rows[FASTER]["joules_per_million_tokens"] == pytest.approx(1e6 * joules / tokens)
        assert joules > 0
        per_token = seconds * sum(turn["texts"] for turn in own) / tokens
        assert rows[FASTER]["cost_per_million_tokens"] == pytest.approx(1e6 * 3.6 / 3600 * per_token)
    rounds = list(dict.fromkeys((turn["profile"], turn["round"]) for turn in of(written, "TURN")))
    assert rounds[:20] == [(profile, number) for number in range(10) for profile in ("online", "bulk")]
    env = {key: value for data in of(written, "ENV", variant=None) for key, value in data.items()}
    assert (env["task"], env["passages"], env["queries"]) == ("choose", 60, 20)
    assert {data["variant"] for data in of(written, "ENV") if "variant" in data} >= {"noisy float32", FASTER, WRONG}
    fids = {data["variant"]: data for data in of(written, "FID")}
    assert fids["noisy float32"]["verdict"] == "equal" and fids[WRONG]["overlap"] < 1


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A file of two tasks, of which the wrong candidate keeps half: what a model without training scores is chance."""
    pytest.importorskip("mteb", reason="pip install 'fmbench[mteb]'")
    words = ["wing flow", "heat shock", "lift drag", "jet gas"]
    texts = [f"{words[number % 2]} {words[number % 3 + 1]}" for number in range(24)]
    labelled = [f"{text},{'xy'[number % 2]}" for number, text in enumerate(texts)]
    (tmp_path / "topics.csv").write_text("\n".join(["text,label", *labelled]))
    pairs = [f"{text},{texts[number // 2]},{number % 2}" for number, text in enumerate(texts)]
    (tmp_path / "same.csv").write_text("\n".join(["sentence1,sentence2,label", *pairs]))
    (tmp_path / "tasks.yaml").write_text(
        "tasks:\n  - {name: topics, type: classification, data: topics.csv, train: topics.csv}\n"
        "  - {name: same, type: pair_classification, data: same.csv}\n"
    )
    real = LocalTask.score

    def score(task, encoder, seed):
        found = real(task, encoder, seed)
        share = 0.5 if encoder.arguments.literal("platform", "wrong") else 1
        scored = replace(found.scored, of=lambda drawn: share * found.scored.of(drawn))
        return replace(found, value=scored.score, scored=scored)

    monkeypatch.setattr(LocalTask, "score", score)
    return tmp_path / "tasks.yaml"


def test_what_is_kept_of_tasks_decides_and_the_winners_vectors_are_compressed(choose, tasks):
    pytest.importorskip("faiss", reason="pip install 'fmbench[retrieval]'")
    more = ("--tasks", tasks, "--keep", "99%", "--compress", "int8,binary@16", "--rescore", "20", "--profile", "bulk")
    code, written, out, err = choose(*RACE, *more)
    assert code == 0, err
    found = last(written, "bulk")
    rows = {row["name"]: row for row in found["candidates"]}
    assert found["keep"] == {"tasks": 0.99} and found["winner"] == FASTER
    assert (rows[FASTER]["tasks_share"], rows[FASTER]["tasks_interval"]) == (1.0, [1.0, 1.0])
    assert (rows[WRONG]["kept"], rows[WRONG]["worst_task"] in ("topics", "same")) == ("worse", True)
    assert "100.00% of the tasks' scores (100.00% to 100.00%, worst topics 100.00%), 99% kept: shown" in out
    codes = [(one["vectors"], one["rescore"], one["bytes_per_document"]) for one in found["compressed"]]
    assert codes == [("float32", None, 128), ("int8", None, 32), ("binary@16", None, 2), ("binary@16", 20, 2)]
    assert found["compressed"][0]["kept"] == 1 and "binary@16, rescored 20" in out
    facts = [task["task"] for data in of(written, "ENV") for task in data.get("tasks", ())]
    assert facts == ["topics", "same"]


def test_a_cosine_decides_early_without_judgements(choose, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("wing flow\nshock wave heat\nlayer pressure drag lift\nplate cone jet\nnozzle wake gas air\n")
    code, written, _, err = choose(*RACE, "--keep_cosine", "0.999", "--query_tokens", "9", data=("--texts", texts))
    assert code == 0, err
    assert {turn["tokens"] / turn["texts"] for turn in of(written, "TURN", profile="online")} == {9}
    found = last(written, "bulk")
    (wrong,) = [row for row in found["candidates"] if row["name"] == WRONG]
    assert found["keep"] == {"cosine": 0.999} and found["winner"] == FASTER
    assert wrong["left_in_round"] == 3 and "below 0.999" in wrong["left_because"] and wrong["kept"] is None


def test_a_check_that_is_stopped_has_no_log_to_go_on_with(choose, stop_at, tmp_path, capfd):
    kept = tmp_path / "choice.json"
    assert choose(*RACE, "--profile", "bulk", "--out", kept)[0] == 0
    check = ["choose", "--check", str(kept), "--encoding_cache_dir", str(tmp_path / "vectors")]
    stop_at(4)
    assert cli.main(check) == 130
    said = "".join(capfd.readouterr())
    assert "a check without --log FILE keeps no turn: the same command begins anew" in said
    assert "the same command goes on" not in said and "fmbench-" not in said
    stop_at(None)
    assert cli.main(check) == 0
    out = capfd.readouterr().out
    assert f"now against {kept}: the answer holds" in out and "fmbench-" not in out and "--detail" not in out


@pytest.mark.parametrize(("error", "expected"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_what_is_stopped_says_where_it_stands_and_goes_on(error, expected, choose, stop_at):
    stop_at(40, error)
    code, written, out, err = choose(*RACE)
    assert code == expected and "the same command goes on" in err and out
    assert last(written, "online")["status"] == "standing" and last(written, "online")["winner"] is None
    before = of(written, "TURN")
    stop_at(None)
    code, written, _, err = choose(*RACE)
    assert code == 0, err
    turns = of(written, "TURN")
    assert turns[: len(before)] == before and len(of(written, "LOG")) == 1
    assert len(turns) == len({(turn["profile"], turn["variant"], turn["round"]) for turn in turns})
    assert {last(written, profile)["winner"] for profile in ("online", "bulk")} == {FASTER}
    taken = stop_at(None)
    again = choose(*RACE)
    assert (again[0], taken, of(again[1], "TURN")) == (0, [], turns)  # the answer is there


def test_as_a_cell_of_a_sweep_its_log_is_its_standard_output(choose, wings):
    words = [*RACE, "--profile", "bulk", "--model_name", wings / "tiny", "--dataset", wings / "wings"]
    checked = check_command("choose", list(map(str, words)))
    assert checked.more == ("--log", "-")
    assert (checked.platform.name, checked.arguments.model_name) == ("noisy", str(wings / "tiny"))
    code, _, out, err = choose(*RACE, "--profile", "bulk", log=Path(checked.more[1]))
    written = [line for row in out.splitlines() if (line := lines.parse_line(row))]
    assert code == 0 and last(written, "bulk")["status"] != "standing", out
    assert "times as fast" in err and "times as fast" not in out
    with pytest.raises(UsageError, match="--log: given twice"):
        check_command("choose", [str(word) for word in (*words, "--log", "x.log")])


def test_a_log_of_something_else_is_refused(choose, tmp_path):
    log = tmp_path / "choice.log"
    assert choose(*RACE, "--profile", "bulk")[0] == 0
    code, _, _, err = choose(*RACE, "--profile", "online")
    assert code == 2 and "--profile" in err and "--log OTHER" in err
    whole = log.read_text().splitlines(keepends=True)
    log.write_text("".join(whole[:4]) + whole[4][:9])  # killed while it was begun
    assert choose(*RACE, "--profile", "online")[0] == 0
    log.write_text("something\n")
    code, _, _, err = choose(*RACE)
    assert code == 2 and "holds something else" in err and log.read_text() == "something\n"


def test_models_that_do_not_fit_together_race_in_heats(choose, monkeypatch):
    monkeypatch.setattr(
        Entrants, "fits", lambda self: not any(one.encoder for one in self.values() if one is not self.reference)
    )
    code, written, _, err = choose(*RACE, "--profile", "bulk")
    assert code == 0, err
    turns = of(written, "TURN")
    assert {turn["heat"] for turn in turns if turn["variant"] == "noisy float32"} == {0, 1}
    assert {turn["heat"] for turn in turns if turn["variant"] == FASTER} == {0}
    found = last(written, "bulk")
    assert found["winner"] == FASTER and {row["name"] for row in found["candidates"]} >= {FASTER, WRONG}


def test_what_cannot_run_is_a_row_that_says_why(choose):
    more = ("--vs", "--model:attn_implementation nonsense", "--profile", "bulk", "--budget", "100s")
    code, written, _, err = choose("--platforms", "noisy,hpu", *NOISY[2:], "--vs", FASTER, *more)
    assert code == 0, err
    rows = {row["name"]: row for row in last(written, "bulk")["candidates"]}
    assert "torch" in rows["hpu"]["why_not"]
    assert "nonsense" in rows["--model:attn_implementation nonsense"]["why_not"]
    assert {data["variant"] for data in of(written, "FID", verdict="unsupported")} == {
        "hpu", "--model:attn_implementation nonsense",
    }  # fmt: skip


def test_platforms_that_nobody_named_are_no_candidates(choose, monkeypatch):
    classes = {name: type(backend.find(name)) for name in ("noisy", "hpu")}
    monkeypatch.setattr(candidates, "platforms", lambda names: classes)
    code, written, out, err = choose(*NOISY[2:], "--vs", FASTER, "--profile", "bulk", "--budget", "100s")
    assert code == 0 and "Not usable here: hpu;" in out, err
    found = last(written, "bulk")
    assert found["absent"] == ["hpu"] and "hpu" not in {row["name"] for row in found["candidates"]}
    assert not of(written, "FID", verdict="unsupported") and "vectors are encoded" not in err


def test_what_is_slow_in_its_first_rounds_alone_stays_and_wins(choose, monkeypatch):
    real, taken = Entrant.encode, []

    def encode(entrant, texts, profile):
        found = real(entrant, texts, profile)
        taken.append(entrant.name)
        slow = entrant.name == FASTER and taken.count(FASTER) <= 3
        return replace(found, nanoseconds=9 * found.nanoseconds) if slow else found

    monkeypatch.setattr(Entrant, "encode", encode)
    code, written, _, err = choose(*NOISY, "--vs", FASTER, "--profile", "online", "--budget", "60s")
    assert code == 0, err
    rows = {row["name"]: row for row in last(written, "online")["candidates"]}
    assert last(written, "online")["winner"] == FASTER and "left_in_round" not in rows[FASTER]


def test_before_the_first_turn_there_is_no_standing(choose, stop_at):
    stop_at(0)
    code, written, out, err = choose(*RACE)
    assert (code, of(written, "CHOICE"), out) == (130, [], "") and "no turn was taken yet" in err


def test_who_is_set_up_and_judged_is_said_when_that_begins(choose):
    code, _, _, err = choose(*RACE, "--profile", "bulk")
    said = [line for line in err.splitlines() if line.startswith(("sets up ", "judges "))]
    names = ["sets up noisy float32 ", f"sets up {FASTER} ", f"sets up {WRONG} ", "judges noisy float32 "]
    assert code == 0 and [name for name in names if not any(line.startswith(name) for line in said)] == [], err


def test_those_that_were_set_up_before_are_set_up_first(choose, monkeypatch):
    order, real = [], Entrant.set_up
    monkeypatch.setattr(Entrant, "set_up", lambda self, *given: (order.append(self.name), real(self, *given))[1])
    monkeypatch.setattr(set_ups, "is_known", lambda planned: planned.name == WRONG)
    assert choose(*RACE, "--profile", "bulk")[0] == 0
    assert order[:3] == ["noisy float32", WRONG, FASTER]


def test_where_no_candidate_can_be_set_up_there_is_no_answer_and_each_says_why(choose):
    code, written, out, err = choose(*NOISY, "--vs", "--platform:noise nonsense", "--profile", "bulk")
    assert (code, of(written, "TURN"), of(written, "CHOICE")) == (1, [], []), out + err
    assert "nonsense" in of(written, "FID", verdict="unsupported")[0]["failure"]
    assert "--platform:noise nonsense: --platform noisy (fmbench-noisy 0): prepare(): ValueError" in err
    assert "no candidate beside noisy float32 ran" in err


def test_a_reference_that_does_not_fit_memory_is_one_line_before_it_is_loaded(choose, monkeypatch):
    monkeypatch.setattr(backend.Backend, "free_bytes", lambda self: 1000)
    code, written, out, err = choose(*RACE)
    assert (code, written, out) == (2, [], "") and len(err.splitlines()) == 1
    assert "noisy float32: its weights take 0.1 GB, and 0.0 GB are free; free memory, or choose on a larger" in err


def test_without_judgements_the_ten_best_decide_and_no_share_of_ndcg_can(choose, wings, tmp_path):
    data = shutil.copytree(wings / "wings", tmp_path / "unjudged", ignore=shutil.ignore_patterns("qrels"))
    code, written, out, err = choose(*RACE, "--keep", "99%", data=("--dataset", data))
    assert (code, written, out) == (2, [], "") and len(err.splitlines()) == 1
    assert "--keep: unjudged has no judgements; say --keep_cosine" in err
    code, written, _, err = choose(*RACE, "--profile", "bulk", data=("--dataset", data))
    found = last(written, "bulk")
    assert code == 0 and (found["keep"], found["winner"]) == ({"overlap": 0.98}, FASTER), err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--platforms", "cpux"], "--platforms cpux: unknown; did you mean cpu?"),
        (["--platforms", "null"], "no model runs there"),
        (["--platforms", "cpu", "--without", "cpu float33"], "--without cpu float33: no candidate; did you mean"),
        (["--platforms", "cpu", "--without", "cpu float32"], "is the reference"),
        (["--platforms", "hpu"], "no candidate beside"),
        (["--vs", "--dataset x"], "--dataset"),
        (["--budget", "10x"], "10m"),
        (["--keep", "101%"], "not between 0% and 100%"),
        (["--keep", "99%", "--keep_cosine", "0.9"], "name the one that decides"),
        (["--texts", "x"], "one of the two"),
        (["--model:nonsense", "1"], "nonsense"),
        (["--model:dtype@", "torch.bfloat16"], "--vs '--model:dtype@ torch.bfloat16'"),
        (["--compile:backend", "inductor"], "the reference is float32 without a compiler"),
        (["--price", "0"], "--price 0: give what an hour"),
        (["--tasks", "gone.yaml"], "gone.yaml: cannot be read"),
        (["--tasks", "x.yaml", "--keep_cosine", "0.9"], "--tasks and --keep_cosine: name the one that decides"),
        (["--compress", "int9"], "--compress int9: unknown; did you mean int8"),
        (["--compress", "int8", "--rescore", "20"], "--rescore: binary vectors are ordered once more"),
        (["--compress", "binary", "--rescore", "5"], "--rescore 5: 10 documents are retrieved a query"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, choose):
    code, written, out, err = choose(*words)
    assert (code, written, out) == (2, [], ""), err
    assert message in err and len(err.splitlines()) == 1, err


def test_help_and_usage_errors_import_no_torch():
    code = (
        "import sys\nfrom fmbench import cli\n"
        "for words in (['--help'], ['--model_name', 'gone', '--dataset', 'gone']):\n"
        "    try:\n        cli.main(['choose', *words])\n    except SystemExit:\n        pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_standing_while_candidates_are_judged_says_that_others_are_not(choose, monkeypatch):
    real = Judge._ranking

    def ranking(judge, entrant, *given):
        if judge.qualities:
            raise KeyboardInterrupt
        return real(judge, entrant, *given)

    monkeypatch.setattr(Judge, "_ranking", ranking)
    code, written, out, _ = choose(*RACE, "--profile", "bulk")
    assert code == 130 and last(written, "bulk")["winner"] == "noisy float32"
    assert out.startswith("Of those judged so far, run noisy float32, the reference, in bulk: ")
    assert "\nWhy noisy float32, of those judged so far: " in out
