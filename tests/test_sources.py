"""docs/reference/sources.md: what it names as a counterpart is there."""

import contextlib
import functools
import io
import re
from pathlib import Path

import pytest

from fmbench.cli import main
from fmbench.options import SETS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "sources.md"
CODE = re.compile(r"`([^`]+)`")


def rows():
    """The tables' lines: what is there, what is here, and why."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [line for line in cells if line[0] not in ("there", "---")]


@functools.cache
def help_of(command: str) -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.suppress(SystemExit):
        assert main([*command.split(), "--help"]) == 0
    return stream.getvalue()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_option_has_a_counterpart_that_exists_or_a_reason_for_none(row):
    there, here, why = row
    assert there and (here == "-") <= bool(why)
    for text in CODE.findall(here):
        command, _, option = text.partition(" --")
        assert help_of(command).startswith(
            f"usage: {command if command in ('driver', 'process') else f'fmbench {command}'} "
        )
        name, _, key = option.partition(":")
        if key:
            assert name in SETS
        elif option:
            assert re.search(rf"^  --{re.escape(option)}\b", help_of(command), re.MULTILINE), text
    assert here == "-" or CODE.findall(here)


def test_no_source_is_left_out():
    said = " ".join(row[0] for row in rows())
    for name in (
        "--reps",
        "no_annot_in_mined_hn",
        "group_random_k",
        "_swap_search",
        "--num_layers",
        "--gold_data_path",
    ):
        assert f"`{name}`" in said
