"""What the command lines of a store have in common."""

import argparse

from fmbench.options import Parser, nonempty

from .store import DEFAULT

PROGRAM = "fmbench results"
ENTRIES = "name, machine, or how one of these begins; all where none is named"


def parser_of(command: str, description: str, epilog: str) -> Parser:
    """Return the parser of a command."""
    parser = Parser(
        prog=f"{PROGRAM} {command}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=description,
        epilog=epilog,
    )
    parser.add_argument(
        "--store", type=nonempty, default=DEFAULT, metavar="DIR|URL", help=f"the store (default: ./{DEFAULT})"
    )
    return parser
