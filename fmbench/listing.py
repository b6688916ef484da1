"""`fmbench backends` and `fmbench models`: what there is to choose from."""

import argparse
import sys
from collections.abc import Sequence

from fmbench import backend, plugins, source
from fmbench.backend import Backend
from fmbench.console import run_main, warn
from fmbench.errors import FmbenchError
from fmbench.facts import versions
from fmbench.parsing import Parser
from fmbench.table import table

BACKENDS_HELP = """\
Each platform is a plug-in, found by name through the entry-point group fmbench.backends. One that cannot be
imported is a warning that names its distribution, and the others are listed all the same.
"""
MODELS_HELP = """\
These models' published configurations ship with fmbench: --weights random builds them without a download, at
their real cost. Any other model runs from a folder or from the hub.
"""


def backends(argv: Sequence[str] | None = None) -> int:
    """List the platforms."""
    return run_main("fmbench backends", lambda: list_backends(argv))


def models(argv: Sequence[str] | None = None) -> int:
    """List the catalogue."""
    return run_main("fmbench models", lambda: list_models(argv))


def parse(program: str, text: str, argv: Sequence[str] | None) -> None:
    """Read a command line that takes no arguments but --help."""
    parser = Parser(prog=program, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_known(sys.argv[1:] if argv is None else argv)


def list_backends(argv: Sequence[str] | None) -> int:
    """Print a row a platform."""
    parse("fmbench backends", BACKENDS_HELP, argv)
    found, warnings = plugins.discover(backend.GROUP)
    rows = []
    for plugin in found.values():
        try:
            with plugins.blamed(plugin.title):
                rows.append(describe(plugin, backend.load_class(plugin)))
        except FmbenchError as error:
            warnings.append(str(error))
            rows.append([plugin.name, "broken", plugin.distribution, "", "see the warning"])
    for text in warnings:
        warn(text)
    sys.stdout.write(table(["platform", "usable", "version", "what it is", "why not, and what installs it"], rows))
    return 0


def describe(plugin: plugins.Plugin, cls: type[Backend]) -> list[str]:
    """Return a platform's row."""
    reason = cls.why_not()
    own = [] if plugins.is_ours(plugin) else [plugin.distribution]
    known = [f"{name} {number}" for name, number in versions(cls.distributions).items()]
    version = "; ".join(filter(None, [*own, ", ".join(one for one in known if one not in own)]))
    why = ": ".join(part for part in (reason, cls.install) if part) if reason else ""
    choices = [] if reason else cls.choices()
    summary = f"{cls.summary} ({', '.join(choices)})" if choices else cls.summary
    return [plugin.name, "no" if reason else "yes", version, summary, why]


def list_models(argv: Sequence[str] | None) -> int:
    """Print a row a model."""
    parse("fmbench models", MODELS_HELP, argv)
    rows = [
        [entry.name, entry.model_class, f"{entry.parameters:,}", f"{entry.max_length:,}", entry.source]
        for entry in source.catalogue().values()
    ]
    sys.stdout.write(table(["model_name", "model_class", "parameters", "max tokens", "source"], rows, right=(2, 3)))
    return 0
