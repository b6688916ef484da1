"""A result counts once, whatever file it is read from: its log, that log's end, JSON, or a file of several of them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from fmbench import lines
from fmbench.process.cli import main as process_main
from fmbench.process.comparing.compare import main as compare_main
from fmbench.process.reading.results import read_results
from fmbench.process.reading.shared import key_of
from fmbench.process.reading.sources import find_sources

from .conftest import GOLDEN
from .test_compare import log_text, noisy, told

FAILED = lines.JsonLine("ERR", {"input_size": 32, "batch_size": 4, "type": "Killed", "message": "no"}).format()
WHOLE = log_text({8: noisy(seed=1), 16: noisy(seed=2)}).replace("FMWORK CASE", "FMWORK SETUP 1.234567\nFMWORK CASE", 1)
WHOLE += f"{FAILED}\n"
OTHER = log_text({8: noisy(seed=3), 16: noisy(seed=4)})
GROWING = WHOLE[: WHOLE.rindex("FMWORK RES")]
END = WHOLE[WHOLE.index("FMWORK REP 9") :]
TESTS = GOLDEN.parent
LOGS = sorted([*TESTS.glob("golden*/*.log*"), *TESTS.parent.glob("results/*/*/driver.log.gz")])


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write files, and return their results and what is said of them. JSON is what `process` makes of a log."""
    monkeypatch.chdir(tmp_path)

    def of(**files):
        for name, content in files.items():
            if isinstance(content, str):
                Path(f"{name}.log").write_text(content, newline="")
                continue
            (form, *logs) = content
            for number, log in enumerate(logs):
                Path(f"{name}{number}").write_text(log)
            words = [word for number in range(len(logs)) for word in ("--path", f"{name}{number}")]
            assert process_main([*words, "--format", form, "--out", f"{name}.log"]) == 0
        warnings = []
        return list(read_results(find_sources(f"{name}.log" for name in files), warnings.append)), warnings

    return of


ALL = "all 3 results of {} are in {}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": WHOLE, "b": ("json", WHOLE)}, ALL.format("b.log", "a.log")),
        ({"a": ("json", WHOLE), "b": WHOLE}, ALL.format("a.log", "b.log")),
        ({"a": ("json", GROWING), "b": WHOLE}, "all 2 results of a.log are in b.log"),
        ({"a": ("jsonl", WHOLE), "b": WHOLE, "c": ("json", WHOLE)}, ALL.format("a.log", "b.log")),
        ({"a": END, "b": WHOLE}, ALL.format("a.log", "b.log")),
        ({"a": WHOLE, "b": f"another program\n{WHOLE}"}, ALL.format("b.log", "a.log")),
    ],
)
def test_a_run_that_several_files_hold_is_that_of_its_log(read, files, said):
    found, warnings = read(**files)
    assert [(one.row["input"], one.row["status"]) for one in found] == [(8, "OK"), (16, "OK"), (32, "ERR")]
    assert len({one.source for one in found}) == 1
    assert [len(one.durations) for one in found] == [50, 50, 0]
    assert found[0].row["environment"] and not any(one.saved for one in found)
    (warning,) = [text for text in warnings if "counted once" in text]
    assert warning.startswith("results that several files hold are counted once: ") and said in warning


def test_files_that_share_some_results_give_the_others_too(read):
    found, warnings = read(a=WHOLE, b=("json", WHOLE, OTHER))
    assert [one.source for one in found] == ["a.log"] * 3 + ["b.log"] * 2
    assert warnings[-1].endswith(": 3 of the 5 results of b.log are in a.log")
    found, warnings = read(a=WHOLE, b=f"{WHOLE}{OTHER}", c=OTHER)
    assert [one.source for one in found] == ["b.log"] * 5
    assert warnings[-1].endswith("all 2 results of c.log are in b.log")


def test_json_has_a_result_once_where_no_log_is_given(read):
    found, _ = read(a=("json", WHOLE), b=("jsonl", WHOLE))
    assert [one.source for one in found] == ["a.log"] * 3


def test_other_runs_of_one_command_count(read):
    found, warnings = read(a=WHOLE, b=OTHER)
    assert len(found) == 5 and warnings == []
    early = f'FMWORK LOG {{"format": 1}}\n{FAILED}\n'  # it says nothing that another could not say
    found, _ = read(a=f"{early}# one\n", b=f"{early}# another\n")
    assert len(found) == 2


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.parent.name)
def test_no_two_results_of_a_log_are_the_same(log):
    keys = Counter(map(key_of, read_results(find_sources([str(log)]), lambda text: None, repetitions=False)))
    assert sum(keys.values()) and {count for key, count in keys.items() if key is not None} <= {1}


def test_json_beside_its_log_is_no_other_process(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("side").mkdir()
    Path("other.log").write_text(OTHER)
    shapes = []
    Path("side/a.log").write_text(WHOLE)
    for _ in range(2):
        assert compare_main(["other.log", "side", "--format", "json"]) == 0
        shapes.append(told(capsys.readouterr().out)["shapes"])
        Path("side/b.log").write_text(END)
    assert shapes[0] == shapes[1]


def test_a_side_that_is_named_twice_is_refused_and_one_that_is_there_twice_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in (("x", OTHER), ("y", WHOLE), ("z", END)):
        Path(f"{name}.log").write_text(text)
    assert compare_main(["x.log", "y.log", "./y.log"]) == 2
    assert "./y.log: is named twice among what is compared with the first; name it once" in capsys.readouterr().err
    assert compare_main(["x.log", "y.log", "z.log", "--across", "all"]) in (0, 2)
    said = "hold the same runs; what nothing else measured is compared with x.log twice: 2 of the 3 results of z.log"
    assert said in capsys.readouterr().err


def test_a_choice_in_json_on_the_other_side_is_the_same(tmp_path, capsys):
    log, saved = TESTS / "golden-choice" / "format-1.log", tmp_path / "choice.json"
    assert process_main(["--path", str(log), "--out", str(saved)]) == 0
    assert json.loads(saved.read_text())
    assert compare_main([str(log), str(saved)]) == 0
    assert "hold the same runs" in capsys.readouterr().err
