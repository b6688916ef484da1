"""What is made of the log of a choice: the sentence, the table, what to paste, and what it says against itself."""

import json
import re

import pytest

from fmbench.process.comparing.compare import main as compare_main
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import Source
from fmbench.process.workloads.choice import Choice

from .conftest import GOLDEN
from .conftest import GOLDEN_CHOICE as LOG

TIED = LOG.with_name("absent-1.log")
TASKS = LOG.with_name("tasks-1.log")
TIMES = "2.51 (2.48 to 2.54)"
RUN = f"Run openvino bfloat16: {TIMES} times fp32 in bulk"
SENTENCE = f"{RUN}, nDCG@10 -0.0002 (-0.0015 to +0.0011), 99% kept: shown."


def sentences(text):
    return [line for line in text.splitlines() if line.startswith(("Run ", "Nothing ", "Of those judged so far, run "))]


def opening(text, number):
    """What stands above a table: the sentence, and what is below it."""
    lines = text.splitlines()
    start = [
        place
        for place, line in enumerate(lines)
        if line.startswith(("Run ", "Nothing ", "Of those judged so far, run "))
    ][number]
    end = next(place for place in range(start, len(lines)) if lines[place].startswith("candidate "))
    return lines[start:end]


def test_show_opens_with_what_to_run_and_ends_with_what_to_paste(shown):
    text = shown(LOG)
    online, bulk = text.split("\nRun openvino bfloat16: 2.51")
    assert online.startswith(
        "Run openvino bfloat16: 2.91 (2.86 to 2.93) times fp32 for one text at a time, nDCG@10 -0.0002"
    )
    assert sentences(text)[1] == SENTENCE
    names = [line.split("  ")[0] for line in bulk.splitlines()[2:7]]
    assert names == ["openvino int8", "openvino bfloat16", "bfloat16", "fp32", "onnxruntime"]  # the fastest first
    fronts = [line for line in bulk.splitlines() if re.search(r"  \d+ +front", line)]
    assert [line.split("  ")[0] for line in fronts] == ["openvino int8", "openvino bfloat16", "fp32"]
    assert "left in round 12: surely slower" in bulk and "the onnxruntime package is not installed" in bulk
    assert text.count("\nfmbench retrieve evaluate ") == text.count("\nimport openvino\n\ngraph = ") == 1
    assert re.search(r"Measured with configuration c-\w{6}, model all-MiniLM-L6-v2 4b4b4b4b4b4b, .*torch 2.13.0", bulk)
    assert "\n`fmbench show --detail LOG` shows every row;" in text  # `choose` prints it too, and has no such option
    assert "Variants" not in text and "\nVariants\n" in shown(LOG, "--detail")


def test_json_says_the_same(process, shown, tmp_path):
    printed = process("--path", LOG)
    rows = [row for row in printed.rows if row["workload"] == "choice"]
    assert [(row["choice"]["place"], row["status"]) for row in rows[:5]] == [
        (None, "OK"), (None, "OK"), ("winner", "OK"), (None, "OK"), (None, "ERR")
    ]  # fmt: skip
    assert rows[2]["itl"] > 0 and rows[2]["thp"] is None and rows[7]["thp"] > 0 and rows[7]["itl"] is None
    (tmp_path / "choice.json").write_text(json.dumps(printed.rows))
    assert shown(tmp_path / "choice.json") == shown(LOG)


def of_budget(data, candidates):
    data["status"] = "budget"


def of_ties(data, candidates):
    data["ties"] = ["bfloat16"]


def of_nobody(data, candidates):
    data |= {"winner": None, "why": "nobody is shown to keep enough", "status": "standing"}
    for one in candidates.values():
        one["kept"] = None


def of_some(data, candidates):
    of_reference(data, candidates)
    data["status"] = "standing"
    candidates["bfloat16"]["kept"] = None


def of_none_of_some(data, candidates):
    of_nobody(data, candidates)
    data["keep"] = {"ndcg": 1.01}
    candidates["bfloat16"]["kept"] = "worse"


def of_reference(data, candidates):
    data |= {"winner": "fp32", "keep": {"ndcg": 1.01}}
    for one in candidates.values():
        one["kept"] = "shown" if one["name"] == "fp32" else "worse"


def of_noise(data, candidates):
    candidates[data["winner"]].update(speed=40.75, interval=[16.54, 74.71])


def of_few(data, candidates):
    candidates[data["winner"]]["rounds"] = 3


def of_overlap(data, candidates):
    data["keep"] = {"overlap": 0.98}
    candidates["openvino int8"]["kept"] = "worse"


def of_cosine(data, candidates):
    data["keep"] = {"cosine": 0.999}
    candidates["openvino int8"]["kept"] = "worse"


def of_two(data, candidates):
    both = {"queries": "openvino int8", "passages": data["winner"]}
    data["together"] = {**both, "ndcg_change": -0.0042, "ndcg_interval": [-0.011, 0.002], "kept": "not shown"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_two, [SENTENCE, "Queries of openvino int8 in that index: nDCG@10 -0.0042 (-0.0110 to +0.0020), "
                            "99% kept: not shown."]),
        (of_budget, [SENTENCE, "The budget ended before the order was known."]),
        (of_ties, [SENTENCE, "Cannot be told from it in speed: bfloat16."]),
        (of_nobody, ["Nothing to run in bulk yet.", "Nobody is shown to keep enough.",
                     "This is the standing of a race that is not over."]),
        (of_some, ["Of those judged so far, run fp32, the reference, in bulk: nothing that keeps as much is faster.",
                   "This is the standing of a race that is not over."]),
        (of_none_of_some, ["Nothing to run in bulk yet.", "Of those judged so far, nobody is shown to keep enough.",
                           "This is the standing of a race that is not over."]),
        (of_reference, ["Run fp32, the reference, in bulk: nothing that keeps as much is faster."]),
        (of_noise, [SENTENCE.replace(TIMES, "40.75 (16.54 to 74.71)"), "In doubt: contradicted"]),
        (of_few, [SENTENCE, "2 of 3 rounds, without the first, are too few for 95%: the interval of openvino bfloat16 "
                            "is from the least to the greatest.", "In doubt: lost"]),
        (of_overlap, [f"{RUN}, top-10 overlap 99.70%, 98% kept: shown."]),
        (of_cosine, [f"{RUN}, least cosine 1 - 3.5e-04, 0.999 kept: shown."]),
    ],
)  # fmt: skip
def test_the_sentence_says_what_is_known_and_what_not(change, said, changed, shown):
    found = opening(shown(changed(change)), 1)
    assert len(found) == len(said) and all(map(str.startswith, found, said)), found


@pytest.mark.parametrize(
    ("interval", "said"),
    [([0.99, 1.01], "as fast as the one to run"), ([0.02, 1.25], "cannot be told from the one to run")],
)
def test_a_tie_is_as_fast_where_its_interval_says_so(interval, said, changed, shown):
    def tie(data, candidates):
        of_ties(data, candidates)
        candidates["bfloat16"] |= {"speed": 1.0, "interval": interval}

    assert said in shown(changed(tie))


def test_a_busy_machine_is_said(shown, tmp_path):
    log = tmp_path / "busy.log"
    log.write_text(f'{LOG.read_text()}FMWORK ENV {{"load_average_end": 9.0}}\n')
    said = "Beside other work (contended: a load of 9.0 on 2 CPUs at the end): the ratios hold for that."
    assert said in shown(log) and said not in shown(LOG)
    assert opening(shown(log), 1) == [SENTENCE, "Measured beside other work."]


def test_a_reference_that_nothing_surely_beats_is_what_to_run(shown, process):
    text = shown(TIED)
    assert len(sentences(text)) == 1 and opening(text, 0) == [
        "Run fp32, the reference, in bulk: nothing that keeps as much is surely faster.",
        "Cannot be told from it in speed: bfloat16.",
    ]
    assert "Not usable here: cuda, hpu, xpu; `fmbench backends` says why." in text
    assert all(re.search(rf"^{column}", text, re.M) for column in (".*J/M tokens  cost/M tokens", "fp32 .*  2460 "))
    rows = [row["choice"] for row in process("--path", TIED).rows if row["workload"] == "choice"]
    assert [row["absent"] for row in rows] == [["cuda", "hpu", "xpu"]] * 2


def set_of(name, **figures):
    def change(data, candidates):
        candidates[name].update(figures)

    return change


def no_candidate(data, candidates):
    data["winner"] = "onnxruntime"


def other_winner(data, candidates):
    data["winner"] = "bfloat16"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_candidate, "names onnxruntime, which is none of the candidates that ran"),
        (other_winner, "openvino bfloat16 keeps enough, and is faster than the winner"),
        (set_of("openvino bfloat16", kept="not shown"), "what the winner keeps is not shown"),
        (set_of("openvino int8", speed=3.0, interval=[2.9, 3.1]), "says a speed of 3, and its turns 3."),
        (set_of("openvino int8", speed=3.0), "the interval of speed does not hold it"),
        (set_of("openvino int8", interval=[2.0, 5.0]), "says an interval of 2 to 5, and its turns "),
        (set_of("openvino int8", rounds=39), "counts 39 rounds, and has 40 turns"),
        (set_of("openvino int8", latency_ms=9.0, texts_per_second=9.0), "and its turns"),
        (set_of("openvino int8", ndcg_p=0.04), "ndcg_p and ndcg_interval do not agree"),
        (set_of("openvino int8", ndcg=0.6451), "ndcg_change is not its ndcg less that of the reference"),
        (set_of("openvino int8", ndcg_share=1.1), "the interval of ndcg_share does not hold it"),
        (set_of("openvino int8", least_cosine=0.999), "least_cosine is above mean_cosine"),
    ],
)
def test_what_a_choice_says_twice(change, said, changed, process, shown):
    path = changed(change)
    found = {row["doubt"] for row in process("--path", path).rows if row["workload"] == "choice"}
    assert all(text.startswith(("contradicted: ", "lost: ")) for text in found) and any(said in text for text in found)
    assert opening(shown(path), 0)[-1].startswith("In doubt: ")
    assert len(process("--path", path).warnings) == 2, "one a profile"


def test_a_turn_that_is_there_twice_is_a_doubt(process, tmp_path):
    rows = LOG.read_text().splitlines()
    turn = next(text for text in rows if text.startswith("FMWORK TURN") and "openvino int8" in text)
    (tmp_path / "twice.log").write_text("\n".join([*rows[:-1], turn, rows[-1], ""]))
    found = process("--path", tmp_path / "twice.log").rows
    assert {row["doubt"] for row in found if (row.get("choice") or {}).get("profile") == "online"} == {
        "mixed: CHOICE of online: openvino int8 has two turns in one round, or one that took no time"
    }


def test_records_and_page_say_what_the_choice_says(shown, tmp_path):
    retrieval = GOLDEN.parent / "golden-retrieval" / "format-1.log"
    text = shown(LOG, retrieval)
    assert text.count(SENTENCE) == 2 and "what to run:" not in text  # its own table, and below the records


def of_absent(data, candidates):
    data["absent"] = ["cuda", "hpu"]


def test_platforms_that_are_not_here_are_one_line(changed, shown):
    text = shown(changed(of_absent))
    assert text.count("Not usable here: cuda, hpu; `fmbench backends` says why.") == 1
    assert "\ncuda " not in text


def test_tickets_and_pages(tmp_path):
    from fmbench.process.cli import main

    for name, form in (("choice.md", "markdown"), ("choice.html", "html")):
        assert main(["--path", str(LOG), "--format", form, "--out", str(tmp_path / name)]) == 0
    ticket = (tmp_path / "choice.md").read_text()
    assert f"#### {SENTENCE}" in ticket and ": its vectors without fmbench.\nimport openvino\n\ngraph = " in ticket
    page = (tmp_path / "choice.html").read_text()
    assert f"<h2>{SENTENCE}</h2>" in page and "fmbench.\nimport openvino\n\ngraph = " in page
    assert page.count("<svg") >= 2 and "default-src 'none'" in page and "<script" not in page


@pytest.fixture
def compared(capsys):
    def run(*words):
        code = compare_main([str(word) for word in (LOG, *words)])
        return code, capsys.readouterr()

    return run


def slower(data, candidates):
    candidates["openvino bfloat16"].update(speed=2.0, interval=[1.9, 2.1])


def failed(data, candidates):
    data["winner"] = "fp32"
    candidates["openvino bfloat16"].update(why_not="no longer there")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (slower, "it is not as fast beside the reference"),
        (set_of("openvino bfloat16", kept="worse"), "what it keeps is worse"),
        (failed, "openvino bfloat16 cannot run: no longer there"),
        (of_reference, "run fp32"),
        (of_nobody, "there is no answer"),
    ],
)
def test_compare_says_that_an_answer_changed_and_why(change, reason, changed, compared):
    code, said = compared(changed(change), "--fail-on", "answer")
    assert code == 1 and "the answer changed: online, bulk\n" in said.out and reason in said.out


def test_an_answer_under_other_variables_does_not_hold(tmp_path, capsys):
    (tmp_path / "after.log").write_text(TASKS.read_text().replace('"GOMP_SPINCOUNT": "1000", ', ""))
    assert compare_main([str(TASKS), str(TASKS), "--fail-on", "answer"]) == 0
    assert compare_main([str(TASKS), str(tmp_path / "after.log"), "--fail-on", "answer"]) == 1
    assert "variables.GOMP_SPINCOUNT: 1000 then, None now" in capsys.readouterr().out


@pytest.mark.parametrize("said", [{"speed": 9.0}, {"speed": None, "interval": [2.9, 2.8]}, {"interval": [2.9, 2.8]}])
def test_an_answer_in_json_that_contradicts_itself_is_not_believed(said, process, shown, tmp_path, capsys):
    rows = process("--path", LOG).rows
    for one in rows:
        if (one.get("choice") or {}).get("place") == "winner":
            one["choice"] |= said
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(rows))
    doubt = "In doubt: contradicted: CHOICE of {}: openvino bfloat16: the interval of speed does not hold it."
    opened = [opening(shown(path), number)[-1] for number in (0, 1)]
    assert opened == [doubt.format("online"), doubt.format("bulk")]
    for sides, where in (((path, LOG), "in base: contradicted"), ((LOG, path), "contradicted")):
        assert compare_main([*map(str, sides), "--fail-on", "answer"]) == 1
        assert where in capsys.readouterr().out


def test_compare_says_that_an_answer_holds_after_an_upgrade(compared, tmp_path):
    (tmp_path / "after.log").write_text(LOG.read_text().replace('"torch": "2.13.0+cpu"', '"torch": "2.14.0+cpu"'))
    code, said = compared(tmp_path / "after.log", "--fail-on", "answer")
    assert code == 0 and "the answer holds\n" in said.out
    assert "Facts that differ: packages.torch: 2.13.0+cpu in base, 2.14.0+cpu in new." in said.out
    code, said = compared(tmp_path / "after.log", "--format", "json")
    assert [one["holds"] for one in json.loads(said.out)["answers"]] == [True, True]


def test_beside_choices_their_shapes_are_compared_too(tmp_path, capsys):
    for name in ("base", "new"):
        (tmp_path / name).mkdir()
        for log in (LOG, GOLDEN / "format-1.log"):
            (tmp_path / name / f"{log.parent.name}.log").write_text(log.read_text())
    folders = [str(tmp_path / name) for name in ("base", "new")]
    assert compare_main([*folders, "--fail-on", "regression"]) == 0
    out, err = capsys.readouterr()
    assert "may change without failing that; answer fails it too" in err
    assert "the answer holds\n" in out and "0 regressions, 0 improvements, 5 without significant difference" in out
    assert compare_main([*folders, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["choices"][0]["answers"]) == 2 and len(found["comparisons"][0]["shapes"]) == 7
    (tmp_path / "new" / "golden-choice.log").unlink()
    assert compare_main(folders) == 0
    assert "new: holds no choice, and another one does: not compared" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("log", "fail_on", "said"),
    [(LOG, "regression", "give --fail-on answer"), (LOG, "regression,missing", "give --fail-on answer"),
     (GOLDEN / "format-1.log", "answer", "hold no choice"), (GOLDEN / "format-1.log", "missing,answer", "no choice")],
)  # fmt: skip
def test_a_gate_that_nothing_could_close_is_refused(log, fail_on, said, capsys):
    assert compare_main([str(log), str(log), "--fail-on", fail_on]) == 2
    assert said in capsys.readouterr().err


def test_a_choice_is_compared_with_a_choice_alone(compared):
    code, said = compared(GOLDEN / "format-1.log")
    assert code == 2 and "holds no choice, and another one does" in said.err


def test_what_is_kept_of_tasks_stands_in_the_sentence_and_the_table(shown, process):
    rows = {row["variant"]: row["choice"] for row in process("--path", TASKS).rows if row["workload"] == "choice"}
    won = rows["cpu bfloat16"]
    assert (won["keep"], won["place"], won["worst_task"]) == ({"tasks": 0.99}, "winner", "cranfield pairs")
    assert won["tasks_interval"][0] <= won["tasks_share"] <= won["tasks_interval"][1]
    assert [one["vectors"] for one in won["compressed"]] == ["float32", "int8", "binary", "binary"]
    assert rows["cpu float32"]["compressed"] is None
    out = shown(TASKS)
    assert "100.00% of the tasks' scores (99.91% to 100.06%, worst cranfield pairs 99.99%), 99% kept" in out
    assert "tasks kept" in out and "worst task" in out
    assert "Compressed vectors" in out and "binary, rescored 40" in out


def test_what_a_choice_answers_is_its_sentences_and_no_heading_of_its_tables():
    results = [one for one in read_results([Source(TASKS)], pytest.fail) if one.row["workload"] == "choice"]
    (bulk, compressed), (said,) = Choice().tables(results), Choice().answer(results)
    assert bulk.title.startswith("Run cpu bfloat16") and compressed.title == "Compressed vectors"
    assert said == f"{bulk.title} The budget ended before the order was known." and said.count(". ") == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"bytes_per_document": 48', '"bytes_per_document": 49', "CODE of binary has 49 bytes for 384 numbers"),
        ('"tasks_share": 0.99', '"tasks_share": 0.95', "the interval of tasks_share does not hold it"),
    ],
)
def test_what_a_choice_says_of_tasks_and_types_is_checked(process, tmp_path, old, new, said):
    text = TASKS.read_text()
    assert old in text and all(row["doubt"] is None for row in process("--path", TASKS).rows)
    (tmp_path / "x.log").write_text(text.replace(old, new))
    doubts = [row["doubt"] for row in process("--path", tmp_path / "x.log").rows if row["workload"] == "choice"]
    assert all(said in doubt for doubt in doubts)
