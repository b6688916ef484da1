"""What every driver's log opens with: the command line, and the facts of the run."""

from collections.abc import Iterable
from typing import Any

from fmbench import __version__, facts, host, lines, torch_settings
from fmbench.backend import Backend
from fmbench.console import note
from fmbench.log import LogWriter
from fmbench.options import Arguments
from fmbench.secrets import masked, sealed


def given(arguments: Arguments) -> list[tuple[str, str]]:
    """Return the arguments as typed, secrets sealed: a log is published."""
    return [(name, masked(name, value, sealed)) for name, value in arguments.given]


def write_version(log: LogWriter, driver: str) -> None:
    """Open the log: which grammar it has, and which program writes it."""
    log.write(lines.Log({"format": lines.FORMAT_VERSION, "program": f"fmbench {__version__}", "driver": driver}))


def write_arguments(log: LogWriter, arguments: Arguments, driver: str) -> None:
    """Open the log and repeat the command line."""
    write_version(log, driver)
    log.banner("ARGS")
    for name, value in given(arguments):
        log.write(lines.Arg(name, value))
    if arguments.options["compile"] and ("compile", "True") not in arguments.given:
        note("a --compile: option was given, so --compile is on")


def run_facts(arguments: Arguments, distributions: Iterable[str], timed: str) -> dict[str, Any]:
    """Return what identifies software and host, what is timed, and who ran it where that may be said."""
    disclosed = facts.disclosed_facts() if arguments.disclose else {}
    software = {**facts.software_facts(tuple(distributions)), "variables": facts.variables()}
    return {**software, **host.host_facts(), **disclosed, "timed": timed}


def platform_facts(platform: Backend, arguments: Arguments) -> dict[str, Any]:
    """Return what a platform and the options of the command line are. Imports torch."""
    import torch

    found = {
        "platform": platform.name,
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled() and not arguments.inference,
        "compile": arguments.compile or platform.always_compiles,
        "options": [f"--{name} {value}" for name, value in given(arguments) if ":" in name],
        "torch_settings": torch_settings.settings(),
        **platform.facts(),
    }
    return found if arguments.disclose else facts.discreet(found)
