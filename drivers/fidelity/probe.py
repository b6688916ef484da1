"""What a probe is, and how it is found: one thing that a model, or torch, computes and a capture keeps."""

import argparse
import json
import math
import numbers
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from fmbench import plugins
from fmbench.console import run_main, warn
from fmbench.errors import UsageError, nearest
from fmbench.parsing import Parser
from fmbench.plugins import is_ours
from fmbench.ranking.order import Run
from fmbench.table import table

if TYPE_CHECKING:
    import torch

    from .context import Context

    Output: TypeAlias = tuple[str, torch.Tensor | Run]

GROUP = "fmbench.probes"


class Probe(ABC):
    """Computes named tensors from a context, and yields them piece by piece: it never holds everything.

    `options` is what decides what is computed besides texts, model and seed; captures can be compared where it is the
    same. `layers` says that the probe looks inside the model, which no compiler leaves as it is.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    layers: ClassVar[bool] = False
    default: ClassVar[bool] = True  # whether it runs where the command line names no probe

    @abstractmethod
    def run(self, context: "Context") -> "Iterator[Output]":
        """Yield (artifact name, tensor) in execution order.

        Tensors of one name are joined along their first dimension. A mapping in place of a tensor is a ranking: query
        id -> document id -> score. Must give the same bits for the same context, seed included. Runs without gradients.
        """


def load(plugin: plugins.Plugin) -> Probe:
    """Import a probe. Raises BrokenPluginError for what cannot be imported or is no probe."""
    cls = plugin.load()
    fault = None
    if not (isinstance(cls, type) and issubclass(cls, Probe)):
        fault = "is no subclass of fmbench.drivers.fidelity.probe.Probe"
    elif cls.__abstractmethods__:
        fault = f"does not define {', '.join(sorted(cls.__abstractmethods__))}"
    elif not hasattr(cls, "summary") or getattr(cls, "name", None) != plugin.name or "/" in plugin.name:
        fault = f"needs a summary and the name {plugin.name!r}, as its entry point says, without a slash"
    if fault is not None:
        raise plugins.BrokenPluginError(f"{plugin.title} {fault}")
    with plugins.blamed(plugin.title):
        probe: Probe = cls()
        return probe


def outputs(probe: Probe, context: "Context") -> "Iterator[Output]":
    """Yield what a probe does. Raises BrokenPluginError, which names it, for what it raises, or wrongly yields."""
    title, some = plugins.title_of(GROUP, "--probes", probe.name), False
    with plugins.blamed(title):
        for found in probe.run(context):
            some = True
            yield checked(found)
    if not some:
        warn(f"{title} yielded nothing: the capture has nothing of it")


def checked(found: Any) -> "Output":
    """Return what a probe yielded. Raises TypeError for what is no name with a tensor or a ranking."""
    import torch

    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], str)):
        raise TypeError(f"a probe yields pairs of a name and a tensor or ranking, not {repr(found)[:80]}")
    name, value = found
    if isinstance(value, Mapping):
        every = value.values()
        if not all(isinstance(one, Mapping) and all(map(is_score, one.values())) for one in every):
            raise TypeError(f"{name}: a ranking is query id -> document id -> score, a number; NaN is none")
    elif not isinstance(value, torch.Tensor):
        raise TypeError(f"{name}: is a tensor or a ranking, not {type(value).__name__}")
    return name, value


def is_score(value: Any) -> bool:
    """Whether a value can have a place in a ranking."""
    return isinstance(value, numbers.Real) and not math.isnan(value)


def available() -> tuple[dict[str, Probe], dict[str, plugins.Plugin], list[str]]:
    """Return every probe and its plug-in by name, ours first in the order they run, and a warning a broken one."""
    found, warnings = plugins.discover(GROUP)
    probes: dict[str, Probe] = {}
    for name in sorted(found, key=lambda name: (not plugins.is_ours(found[name]), place(name), name)):
        try:
            probes[name] = load(found[name])
        except plugins.BrokenPluginError as error:
            warnings.append(str(error))
    return probes, found, warnings


# From the text to the ranking, then single operations: the order in which artifacts are compared.
ORDER = (
    "tokens", "hidden", "modules", "bert", "amp_bert", "remove_dense", "lse", "pooled", "normalised", "batch",
    "layer_norm", "norm", "sort", "subtract", "exact", "token_vectors", "index", "search", "train",
)  # fmt: skip


def place(name: str) -> int:
    """Return where a probe stands in the order; what is not in it comes last."""
    return ORDER.index(name) if name in ORDER else len(ORDER)


def choose(probes: Mapping[str, Probe], names: Sequence[str] | None) -> list[Probe]:
    """Return the probes of those names (None: every default one), in the order they run. Raises UsageError."""
    if names is None:
        return [probe for probe in probes.values() if probe.default]
    for name in names:
        if name not in probes:
            raise UsageError(f"--probes {name}: unknown{nearest(name, probes)} (known: {', '.join(probes)})")
    return [probe for name, probe in probes.items() if name in names]


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
