"""What a file says never reaches a terminal as something that it obeys: through every command, errors too."""

import sys
import unicodedata
from pathlib import Path

import pytest

from fmbench.console import Progress, note, run_main
from fmbench.drivers.fidelity.compare import main as fidelity
from fmbench.errors import UsageError
from fmbench.lines import Arg, JsonLine, Res, parse_line
from fmbench.markdown import CONTROLS, harmless, markdown, visible
from fmbench.process.cli import main as process
from fmbench.process.comparing.compare import main as compare
from fmbench.process.store.cli import main as results
from fmbench.process.writing.show import main as show
from fmbench.table import table

# Clear the screen, a link (OSC 8), a bell, a return, a turn of direction, no width, C1's own ESC [, an isolate, a tag.
ODD = "a\x1b[2Jb\x1b]8;;http://x\x07c\rd\u202ee\u200bf\x9b2Jg\u2066h\U000e0041i\ufeff"
SEEN = set(ODD) - set("abcdefghi[2J]8;http:/x")


def test_all_of_unicode_that_is_not_seen_is_replaced() -> None:
    unseen = {"Cc", "Cf", "Zl", "Zp"}
    found = map(chr, range(sys.maxunicode + 1))
    assert [
        one for one in found if unicodedata.category(one) in unseen and one != "\n" and not CONTROLS.match(one)
    ] == []
    assert visible("Zoë 東京 naïve é عربي हिन्दी 👍🏽\n") == "Zoë 東京 naïve é عربي हिन्दी 👍🏽\n"


def written(folder: Path, name: str, odd: str) -> Path:
    """Write a log whose every text is odd."""
    path = folder / name
    lines = [
        JsonLine("LOG", {"format": 1, "program": odd, "driver": "embed"}),
        Arg("model_name", odd),
        JsonLine(
            "ENV", {"platform": odd, "device": odd, "dtype": odd, "threads": 1, "weights": odd, "packages": {odd: odd}}
        ),
        Res(10**18, 10**18 + 10**9, odd, odd, 8, 1, 1.0, 1000.0),
        JsonLine("STAT", {"input_size": 8, "batch_size": 1, "n": 1, "stable": False, "reason": odd}),
        JsonLine("ERR", {"input_size": 16, "batch_size": 1, "variant": odd, "type": odd, "message": odd, "where": odd}),
    ]
    path.write_text("".join(line.format() + "\n" for line in lines) + f"FMWORK RES {odd}\nFMWORK STAT {odd}\n")
    return path


RUNS = {
    "show": lambda log, other, store: show([log, other]),
    "show-by": lambda log, other, store: show([log, "--by", "model,platform"]),
    "show-error": lambda log, other, store: show([log, "--by", ODD]),
    "compare": lambda log, other, store: compare([log, other, "--across", "all"]),
    "compare-markdown": lambda log, other, store: compare([log, log, "--format", "markdown"]),
    "compare-json": lambda log, other, store: compare([log, log, "--format", "json"]),
    "compare-error": lambda log, other, store: compare([log, other]),
    "process": lambda log, other, store: process(["--path", log]),
    "jsonl": lambda log, other, store: process(["--path", log, "--format", "jsonl"]),
    "markdown": lambda log, other, store: process(["--path", log, "--format", "markdown"]),
    "openmetrics": lambda log, other, store: process(["--path", log, "--format", "openmetrics"]),
    "process-error": lambda log, other, store: process(["--path", f"{log}{ODD}"]),
    "store": lambda log, other, store: (results(["add", log, "--store", store]), results(["list", "--store", store])),
    "store-show": lambda log, other, store: (results(["add", log, "--store", store]), show([store])),
    "fidelity-error": lambda log, other, store: fidelity([f"{log}{ODD}", ODD]),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_nothing_odd_reaches_a_terminal(name: str, tmp_path: Path, capfd) -> None:
    log, other = written(tmp_path, "x.log", ODD), written(tmp_path, "y.log", ODD + "other")
    RUNS[name](str(log), str(other), str(tmp_path / "store"))
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert said and not SEEN & set(said)
    assert "FMBENCH_DEBUG" not in said


def test_a_log_itself_says_nothing_odd_and_is_read_back() -> None:
    for line in (
        Arg("model_name", ODD),
        Arg(ODD, "x"),
        Res(0, 1, ODD, ODD, 8, 1, 1.0, 1.0),
        JsonLine("ERR", {"message": ODD}),
    ):
        assert not SEEN & set(line.format())
        assert parse_line(line.format()) == line


def test_what_is_said_is_one_harmless_line(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: Exception) -> None:
        raise error

    note(f"{ODD}\ndriver: error: forged")
    run_main("p", lambda: fail(UsageError(f"{ODD}\nx")))
    run_main("p", lambda: fail(ValueError(ODD)))
    said = capsys.readouterr().err
    assert said.count("\n") == 3 and not SEEN & set(said)
    monkeypatch.setenv("FMBENCH_DEBUG", "1")
    run_main("p", lambda: fail(ValueError(ODD)))
    assert not SEEN & set(capsys.readouterr().err)


def test_progress_writes_nothing_odd_of_others(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    Progress(every=0).show(f"{ODD}\n")
    assert not SEEN & set(capsys.readouterr().err.removeprefix("\r\x1b[K"))


def test_tables_are_harmless_by_themselves() -> None:
    for drawn in (table([ODD], [[ODD]]), markdown([ODD], [[ODD]]), harmless(ODD)):
        assert not SEEN & set(drawn)


def test_csv_is_clean_on_a_terminal_and_exact_elsewhere(tmp_path: Path, capsys, monkeypatch) -> None:
    log = written(tmp_path, "x.log", ODD)
    assert process(["--path", str(log), "--format", "csv"]) == 0
    assert ODD in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert process(["--path", str(log), "--format", "csv"]) == 0
    assert not SEEN & set(capsys.readouterr().out)
