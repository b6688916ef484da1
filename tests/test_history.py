import gzip
import json
from pathlib import Path

import pytest

from fmbench import lines
from fmbench.errors import UsageError
from fmbench.history import History
from fmbench.process.cli import main as process
from fmbench.session import log_stream

LOG = """FMWORK LOG {"format": 1}
FMWORK ARG --model_name m
FMWORK ARG --reps 5
FMWORK ENV {"threads": 2, "packages": {"torch": "2.13"}, "load_average_start": 1.0}
FMWORK ENV {"dtype": "float32"}
FMWORK CASE {"input_size": 8, "batch_size": 1}
FMWORK RES 1.000000000 2.000000000 m C 8 1 1.000 1000.0
FMWORK CASE {"input_size": 16, "batch_size": 1}
FMWORK REP 1 5 1.000000000 2.000000000 1.000000000
FMWORK RES 1.000000000 2.000000000 m C 16 """


@pytest.fixture
def history(tmp_path: Path) -> History:
    path = tmp_path / "run.log"
    path.write_text(LOG)
    return History(path)


def test_only_whole_results_count(history: History) -> None:
    assert history.shapes == {(8, 1)}
    assert history.torn is True


@pytest.mark.parametrize("said", ["{}", '{"n": 0, "dropped": 0}', '{"n": "4", "dropped": 1, "p50": 1.0}'])
def test_a_result_beside_damaged_statistics_does_not_count(tmp_path: Path, said: str) -> None:
    path = tmp_path / "run.log"
    case = 'FMWORK CASE {"input_size": 16, "batch_size": 1}\n'
    path.write_text(LOG.partition(case)[0] + f"FMWORK STAT {said}\n")
    assert History(path).shapes == set()


def test_a_log_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    empty = History(tmp_path / "new.log")
    assert empty.shapes == set() and empty.torn is False


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        History(tmp_path)


def test_the_same_fingerprint_passes_in_parts(history: History) -> None:
    history.check_arguments([("model_name", "m"), ("reps", "99"), ("input_sizes", "8,16")])
    history.check_facts({"threads": 2, "packages": {"torch": "2.13"}, "load_average_start": 7.0})
    history.check_facts({"dtype": "float32", "model_digest": "new"})
    with pytest.raises(UsageError, match="dtype: float32 then, float16 now"):
        history.check_facts({"dtype": "float16", "model_digest": "new"})


def test_what_is_given_as_it_is_by_default_is_not_given(history: History) -> None:
    given = [("model_name", "m"), ("seed", "0")]
    history.check_arguments(given, {("seed", "0")})
    with pytest.raises(UsageError, match="seed: None then, 0 now"):
        history.check_arguments(given, {("seed", "1")})


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"threads": 1}, r"threads: 2 then, 1 now"),
        ({"packages": {"torch": "2.14"}}, r"packages.torch: 2.13 then, 2.14 now"),
        ({"dtype": "bfloat16"}, "use a new log"),
    ],
)
def test_another_fingerprint_is_refused_by_name(history: History, facts: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        history.check_facts(facts)


def test_another_precision_is_refused_however_late_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(LOG.replace('{"dtype": "float32"}', '{"dtype": "float32", "precision": "float32"}'))
    history = History(path)
    for facts in ({"dtype": "float32"}, {"precision": None}, {"precision": "float32"}):
        history.check_facts(facts)
    with pytest.raises(UsageError, match="precision: float32 then, bfloat16 now"):
        history.check_facts({"precision": "bfloat16"})


PARTS = {"weights": "w", "configuration": "c", "code": None, "tokenizer": "t", "modules": "m"}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("weights", "the weights are others now"),
        ("configuration", "the configuration is another now"),
        ("code", "the code is another now"),
        ("tokenizer", "the tokenizer is another now"),
        ("modules", "the modules are others now"),
    ],
)
def test_the_part_of_the_model_that_differs_is_named(tmp_path: Path, part: str, said: str) -> None:
    path = tmp_path / "run.log"
    path.write_text(LOG.replace('{"dtype": "float32"}', json.dumps({"model_digest": "d", "model_parts": PARTS})))
    History(path).check_facts({"model_digest": "d", "model_parts": PARTS})
    with pytest.raises(UsageError, match=rf"fingerprint \({said}\)"):
        History(path).check_facts({"model_digest": "e", "model_parts": {**PARTS, part: "other"}})


def test_a_log_that_knows_the_weights_alone_binds_those_and_the_rest_is_said(tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.log"
    path.write_text(LOG.replace('"dtype": "float32"', '"model_digest": "w", "weights": "pretrained"'))
    history = History(path)
    history.check_facts({"threads": 2, "variables": {"OMP_NUM_THREADS": "1"}})
    history.check_facts({"model_digest": "d", "model_parts": PARTS})
    said = capsys.readouterr().err
    assert "did not say variables\n" in said
    assert "model_parts.configuration, model_parts.code, model_parts.tokenizer, model_parts.modules\n" in said
    with pytest.raises(UsageError, match="the weights are others now"):
        history.check_facts({"model_digest": "d", "model_parts": {**PARTS, "weights": "other"}})


def test_other_arguments_are_refused_by_name(history: History) -> None:
    with pytest.raises(UsageError, match="compile: None then, True now"):
        history.check_arguments([("model_name", "m"), ("compile", "True")])


def test_a_run_without_a_result_binds_nobody(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text('FMWORK LOG {"format": 1}\nFMWORK ENV {"threads": 7}\n')
    History(path).check_facts({"threads": 2})
    path.write_text(LOG)
    with pytest.raises(UsageError, match="threads: 2 then, 7 now"):
        History(path).check_facts({"threads": 7})


def test_what_is_no_log_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("hello world\n")
    packed = tmp_path / "run.log.gz"
    packed.write_bytes(gzip.compress(LOG.encode()))
    for path in (other, packed):
        with pytest.raises(UsageError, match="no log of fmbench"):
            History(path)
    with pytest.raises(UsageError, match="no regular file"):
        History(Path("/dev/null"))


def test_two_runs_do_not_share_a_log(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(LOG)
    first, second = History(path), History(path)
    with log_stream(first) as mine:
        with pytest.raises(UsageError, match="another run writes to it"), log_stream(second):
            pass
        mine.write("\nFMWORK REP\n")
    with pytest.raises(UsageError, match="has written to it meanwhile"), log_stream(second):
        pass


def shape(size: int, at: int) -> str:
    times = [(at + index) * 10**9 for index in range(5)]
    result = lines.Res(times[0], times[-1] + 2_000_000, "m", "C", size, 1, 2.0, 500.0)
    said = [lines.Rep(index, 5, start, start + 2_000_000, 2_000_000) for index, start in enumerate(times, start=1)]
    head = lines.JsonLine("CASE", {"input_size": size, "batch_size": 1, "reps": 5})
    times_ms = dict.fromkeys(("cold", "min", "p50", "p90", "p95", "p99"), 2.0)
    tail = lines.JsonLine("STAT", {"input_size": size, "batch_size": 1, "n": 4, "dropped": 1, **times_ms, "mad": 0.0})
    return "".join(f"{line.format()}\n" for line in (head, *said, result, tail))


HEAD = 'FMWORK LOG {"format": 1}\nFMWORK ARG --input_sizes 8,16\nFMWORK ARG --batch_sizes 1\n'


def processed(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict], list[str]]:
    assert process(["--path", str(path)]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err.splitlines()


@pytest.mark.parametrize("cut", range(1, len(shape(16, 20)), 7))
def test_resume_and_process_agree_wherever_a_log_is_cut(cut: int, tmp_path: Path, capsys) -> None:
    """What --resume holds for measured, process prints as a result; the rest is measured again, and all is well."""
    path = tmp_path / "run.log"
    path.write_text((HEAD + shape(8, 1) + shape(16, 20))[:-cut])
    past = History(path)
    rows, _ = processed(path, capsys)
    assert past.shapes == {(row["input"], row["batch"]) for row in rows if row["status"] == "OK" and not row["doubt"]}
    if (16, 1) in past.shapes:
        return
    again = HEAD + "FMWORK ARG --resume run.log\n" + shape(16, 40)
    path.write_text(path.read_text() + ("\n" if past.torn else "") + again)
    rows, warnings = processed(path, capsys)
    assert [(row["input"], row["status"], row["doubt"]) for row in rows] == [(8, "OK", None), (16, "OK", None)]
    assert [text for text in warnings if "cut off" not in text and "JSON" not in text and "fields" not in text] == []


def test_a_result_that_its_repetitions_contradict_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(HEAD + shape(8, 1).replace(" 2.000 500.0", " 3.000 333.3") + shape(16, 20))
    assert History(path).shapes == {(16, 1)}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_log_of_power_shell_is_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(("\ufeff" + LOG).encode(encoding))
    with pytest.raises(UsageError, match="is UTF-16"):
        History(path)
