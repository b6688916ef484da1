import argparse
import contextlib
import copy
import sys

import pytest

from fmbench import cli, doctor, facts, listing, plugins
from fmbench.doctor import Finding
from fmbench.errors import UsageError
from fmbench.parsing import Parser
from fmbench.source import catalogue

COMMANDS = [name for name, plugin in plugins.discover(cli.GROUP)[0].items() if plugins.is_ours(plugin)]
PLATFORMS = ("cpu", "cuda", "hpu", "mps", "null", "onnxruntime", "openvino", "spyre", "xpu")


def test_help_names_every_command(capsys) -> None:
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in COMMANDS)
    assert set(cli.SUMMARIES) == set(COMMANDS)


def test_no_command_is_a_usage_error(capsys) -> None:
    assert cli.main([]) == 2


def test_an_unknown_command_names_the_nearest(capsys) -> None:
    assert cli.main(["modles"]) == 2
    assert capsys.readouterr().err.startswith("fmbench: error: unknown command 'modles'; did you mean models?")


def test_a_command_gets_the_rest_of_the_line(capsys) -> None:
    assert cli.main(["driver", "--platform", "cup"]) == 2
    assert capsys.readouterr().err.startswith("driver: error: the following arguments are required")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) >= 6


def parsers_of(monkeypatch, capsys, *words: str) -> list[Parser]:
    """The parser of a command, as its --help fills it, or those of the commands below it."""
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Parser, "print_help", lambda self: found.append(self))
        found: list[Parser] = []
        cli.main([*words, "--help"])
    below = capsys.readouterr().out.partition("\ncommands:\n")[2].partition("\n\n")[0].splitlines()
    return found or [one for line in below for one in parsers_of(monkeypatch, capsys, *words, line.split()[0])]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_drops_the_first_of_two_values(name: str, monkeypatch, capsys) -> None:
    parsers = parsers_of(monkeypatch, capsys, name)
    assert parsers
    for parser in map(copy.deepcopy, parsers):  # commands keep theirs
        for action in parser._actions:
            action.type, action.choices, action.required = None, None, False
            action.nargs = action.nargs if action.option_strings else "*"
        for action in parser._actions:
            if action.option_strings and action.nargs != 0:
                argv = [f"{action.option_strings[-1]}=one", f"{action.option_strings[-1]}=two"]
                try:
                    found = getattr(parser.parse_known(argv), action.dest)
                except UsageError as error:
                    assert f"{action.option_strings[-1]}: given twice; give it once" in str(error)
                else:
                    assert "".join(map("".join, found)).endswith("onetwo"), (parser.prog, argv, found)


MEANT = {"query_prompt", "passage_prompt", "metadata_id"}  # an empty one says that there is none


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_an_empty_value_for_something(name: str, monkeypatch, capsys) -> None:
    taken = set()
    for parser in parsers_of(monkeypatch, capsys, name):
        for action in parser._actions:
            if action.nargs != 0 and not action.choices:
                with contextlib.suppress(argparse.ArgumentError, UsageError):
                    parser._get_value(action, "")
                    taken.add(action.dest)
    assert taken <= MEANT


def test_backends_are_listed_with_the_reason_and_the_fix(capsys) -> None:
    assert listing.backends([]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert set(PLATFORMS) <= set(rows)
    assert rows["cpu"].split()[1] == "yes"
    for row in rows.values():
        assert row.split()[1] == "yes" or ": " in row


def test_models_are_listed_with_parameters_and_length(capsys) -> None:
    assert listing.models([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(catalogue())
    (granite,) = [line for line in lines if "granite-embedding-125m-english" in line]
    assert granite.split()[:4] == ["ibm-granite/granite-embedding-125m-english", "RobertaModel", "124,645,632", "512"]


def test_an_unknown_argument_of_a_listing(capsys) -> None:
    assert listing.models(["--all"]) == 2


def test_the_doctor_finds_this_installation_fit(capsys) -> None:
    assert doctor.main([]) == 0
    printed = capsys.readouterr().out
    assert "torch computes" in printed and "--platform cpu: usable" in printed
    assert all(line.split()[0] in ("ok", "warn") for line in printed.splitlines())


def test_the_doctor_fails_where_a_library_is_missing(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    real = facts.package_version
    monkeypatch.setattr(facts, "package_version", lambda name: None if name == "numpy" else real(name))
    assert doctor.main([]) == 1
    assert "FAIL  numpy is missing: pip install 'numpy" in capsys.readouterr().out


def test_the_doctor_says_the_rest_where_torch_is_missing(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert doctor.main([]) == 1
    printed, err = capsys.readouterr()
    assert "FAIL  torch does not work: ModuleNotFoundError" in printed and "load average" in printed
    assert err == ""


def test_the_doctor_warns_of_old_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "package_version", lambda name: "2.0.1+cpu" if name == "torch" else "9999")
    found = [finding for finding in doctor.check_libraries() if finding.text.startswith("torch")]
    assert found == [Finding("warn", "torch 2.0.1+cpu is older than 2.7, the oldest that fmbench is tested with")]


def say(monkeypatch: pytest.MonkeyPatch, module: object, **answers: object) -> None:
    """Let functions of a module answer what a test wants."""
    for name, answer in answers.items():
        monkeypatch.setattr(module, name, lambda answer=answer: answer)


@pytest.mark.parametrize(
    ("threads", "cpus", "cores", "quota", "level", "text"),
    [
        (8, 8, 8, None, "ok", "8 threads on 8 usable CPUs"),
        (2, 8, 8, 2.5, "ok", "2 threads on 8 usable CPUs, of which a control group gives 2.5"),
        (1, 2, 2, 0.3, "warn", "a CPU quota of 0.3 (control group) for 1 thread: the process is stopped whenever it is "
                               "used up; raise the quota"),
        (8, 8, 8, 2.5, "warn", "a CPU quota of 2.5 (control group) for 8 threads: the process is stopped whenever it "
                               "is used up; raise the quota, or take --threads 2"),
        (8, 4, 4, None, "warn", "8 threads on 4 usable CPUs, which take turns; --threads 4"),
        (8, 8, 4, None, "warn", "8 threads on 4 usable cores: two share one; --threads 4"),
    ],
)  # fmt: skip
def test_the_doctor_compares_threads_with_what_the_process_may_have(
    threads: int, cpus: int, cores: int, quota: float | None, level: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, doctor.torch_settings, default_threads=threads)
    say(monkeypatch, doctor.host, usable_cpus=cpus, usable_cores=cores, cpu_quota=quota)
    assert list(doctor.check_threads()) == [Finding(level, text)]


@pytest.mark.parametrize(
    ("load", "cpus", "usable", "text"),
    [
        (30.0, 64, 2, None),  # the load is the machine's, and most of it is idle
        (2.0, 2, 2, "--threads 1 "),
        (40.0, 64, 64, "--threads 24 "),
        (40.0, 64, 8, "or compare with --vs"),  # enough CPUs are free
        (9.0, 2, 1, "or compare with --vs"),  # one thread waits for nobody
    ],
)
def test_the_doctor_proposes_threads_where_it_sees_load(
    load: float, cpus: int, usable: int, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, doctor.host, load_average=load, useful_threads=usable, governor=None, steal_seconds=None)
    say(monkeypatch, doctor.host, throttle_count=0)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: cpus)
    (finding,) = doctor.check_quiet()
    assert finding.level == ("ok" if text is None else "warn")
    assert (text or f"load average {load} on {cpus} CPUs") in finding.text
    assert ("--threads" in finding.text) == (text is not None and "--threads" in text)


def test_the_doctors_memory_is_what_the_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, doctor.counters, host_available=400_000_000)
    say(monkeypatch, doctor.host, memory_limit=8_000_000_000)
    assert list(doctor.check_memory())[-1] == Finding("warn", "memory: 0.4 of 8.0 GB can be had")
