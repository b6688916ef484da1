import gzip
import json
from pathlib import Path

import pytest

from fmbench.errors import UsageError
from fmbench.history import History

LOG = """FMWORK LOG {"format": 1}
FMWORK ARG --model_name m
FMWORK ARG --reps 5
FMWORK ENV {"threads": 2, "packages": {"torch": "2.13"}, "load_average_start": 1.0}
FMWORK ENV {"dtype": "float32"}
FMWORK CASE {"input_size": 8, "batch_size": 1}
FMWORK RES 1.0 2.0 m C 8 1 1.0 1.0
FMWORK CASE {"input_size": 16, "batch_size": 1}
FMWORK REP 1 5 1.0 2.0 1.0
FMWORK RES 1.0 2.0 m C 16 """


@pytest.fixture
def history(tmp_path: Path) -> History:
    path = tmp_path / "run.log"
    path.write_text(LOG)
    return History(path)


def test_only_whole_results_count(history: History) -> None:
    assert history.shapes == {(8, 1)}
    assert history.torn is True


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
    with path.open("a") as mine, path.open("a") as theirs:
        first.claim(mine)
        with pytest.raises(UsageError, match="another run writes to it"):
            second.claim(theirs)
        mine.write("\nFMWORK REP\n")
    with path.open("a") as later, pytest.raises(UsageError, match="has written to it meanwhile"):
        second.claim(later)
