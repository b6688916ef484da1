"""`fmbench fidelity probes`: what a capture can hold."""

import argparse
import json
import sys
from collections.abc import Sequence

from fmbench.console import run_main, warn
from fmbench.parsing import Parser
from fmbench.plugins import is_ours
from fmbench.table import table

from .probe import available

PROGRAM = "fmbench fidelity probes"
HELP = """\
Each probe is a plug-in, found by name through the entry-point group fmbench.probes: a class with a name, a summary and
`run(context)`, which yields named tensors. One that cannot be imported is a warning that names its distribution, and
the others are listed all the same. docs/how-to/guard-an-upgrade.md shows how to write one.

Options are part of a capture: two captures can be compared where they are the same.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Print a row a probe, in the order that they run."""
    Parser(prog=PROGRAM, description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter).parse_known(argv)
    probes, plugins, warnings = available()
    for text in warnings:
        warn(text)
    rows = [
        [
            name,
            "yes" if probe.default else "--probes",
            probe.summary if is_ours(plugins[name]) else f"{probe.summary} ({plugins[name].distribution})",
            ", ".join(f"{key} {json.dumps(value)}" for key, value in probe.options.items()),
        ]
        for name, probe in probes.items()
    ]
    sys.stdout.write(table(["probe", "captured", "what it keeps", "options"], rows))
    return 0
