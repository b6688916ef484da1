import io

import pytest

from fmbench.console import Progress, run_main
from fmbench.errors import PlatformError, UsageError, first_line, nearest


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("a\nb"), 2, "program: error: a b\n"),
        (PlatformError("no card"), 3, "program: error: no card\n"),
        (KeyboardInterrupt(), 130, "program: interrupted; what was printed so far is whole\n"),
        (ValueError("odd"), 1, "program: error: ValueError: odd (FMBENCH_DEBUG=1 shows the traceback)\n"),
        (MemoryError(), 1, "program: error: MemoryError: MemoryError (FMBENCH_DEBUG=1 shows the traceback)\n"),
    ],
)
def test_every_failure_is_one_line_and_a_code(error: BaseException, code: int, said: str, capsys) -> None:
    def fail() -> int:
        raise error

    assert run_main("program", fail) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", said)


def test_the_traceback_is_there_for_the_asking(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("FMBENCH_DEBUG", "1")
    assert run_main("program", lambda: 1 // 0) == 1
    assert "Traceback" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_written_over_on_a_terminal_and_waits_elsewhere() -> None:
    file, terminal = io.StringIO(), Terminal()
    for stream in (file, terminal):
        progress = Progress(stream, every=0)
        progress.show("1 of 2")
        progress.clear()
    assert file.getvalue() == ""
    assert terminal.getvalue() == "\r\x1b[K1 of 2\r\x1b[K"


def test_progress_is_a_line_now_and_then_elsewhere() -> None:
    file = io.StringIO()
    progress = Progress(file, apart=0)
    progress.show("1 of 2")
    progress.show("2 of 2")
    progress.clear()
    assert file.getvalue() == "1 of 2\n2 of 2\n"


@pytest.mark.parametrize(("apart", "said"), [(3600, ""), (0, "1 of 3\n2 of 3\n3 of 3\n")])
def test_a_count_that_was_begun_is_said_to_its_end(apart: float, said: str) -> None:
    file = io.StringIO()
    progress = Progress(file, apart=apart)
    for done in (1, 2, 3):
        progress.count(done, 3, f"{done} of 3")
    assert file.getvalue() == said
    progress.show("begins", at_once=True)
    for done in (1, 2, 3):
        progress.count(done, 3, f"{done} of 3")
    assert file.getvalue().endswith("3 of 3\n") and file.getvalue().count("2 of 3") == (apart == 0) * 2


def test_progress_does_not_write_at_every_step() -> None:
    terminal = Terminal()
    progress = Progress(terminal, every=3600)
    for step in range(100):
        progress.show(str(step))
    assert terminal.getvalue().count("\r") == 1


def test_nearest_and_first_line() -> None:
    assert nearest("cup", ["cpu", "cuda"]) == "; did you mean cpu?"
    assert nearest("zzz", ["cpu"]) == ""
    assert first_line(ValueError("\n  one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
