"""The command-line arguments of every driver that keeps vectors."""

from pathlib import Path

from fmbench.parsing import Once, Parser

DTYPES = ("float32", "float16")


def add_cache_arguments(parser: Parser) -> None:
    """Add where vectors are kept, and how."""
    group = parser.add_argument_group("embedding cache")
    group.add_argument(
        "--encoding_cache_dir",
        action=Once,
        type=Path,
        metavar="DIR",
        help="keep vectors here and take them from here; a killed run goes on where it was (default: nothing is kept)",
    )
    group.add_argument(
        "--embedding_dtype", action=Once, choices=DTYPES, default=DTYPES[0], help="what is stored (default: float32)"
    )
