"""What the encoder's tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fmbench.command_line import parse_suboptions
from fmbench.encoder import Encoder, Recipe
from fmbench.expressions import check
from fmbench.options import SETS, Arguments

Load = Callable[..., Encoder]


def text_arguments(folder: Path, *suboptions: str, platform: str = "cpu", **fixed: Any) -> Arguments:
    """Return the arguments of a driver that encodes; sub-options are written as `--SET:KEY=VALUE`."""
    pairs = [tuple(option.split("=", 1)) for option in suboptions]
    options = parse_suboptions(pairs, SETS)
    check(options)
    compiled = bool(options["compile"])
    named = {"model_class": "AutoModel", "model_name": str(folder), "compile": compiled, **fixed}
    return Arguments(platform=platform, options=options, **named)


@pytest.fixture
def load(restore_torch: None) -> Load:
    """Load an encoder: load(folder, "--model:dtype=float16", platform="cpu", recipe=Recipe(...))."""

    def run(folder: Path, *suboptions: str, recipe: Recipe | None = None, **fixed: Any) -> Encoder:
        return Encoder.load(text_arguments(folder, *suboptions, **fixed), recipe)

    return run
