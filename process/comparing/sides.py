"""What is compared: the results of one path, by shape, and whether two of them may be compared at all."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fmbench.errors import UsageError, nearest
from fmbench.facts import DIGEST, MODEL, differences, flat, short, unsaid

from ..reading.joined import joined
from ..reading.row import Result
from .variant_names import FIRST, VariantNames

SHOWN = 4
KEYS = ("model", "model_class", "input", "batch", "variant")
ALL = "all"

Key = tuple[Any, ...]
Facts = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Side:
    """The results of one path, by model, class, input size, batch size and variant."""

    name: str
    results: Mapping[Key, Result]


def side_of(path: str, results: Iterable[Result], across: Collection[str], warn: Callable[[str], None]) -> Side:
    """Return results as a side; of a shape that was measured twice, the last result counts.

    Raises UsageError where several models or variants would be one, since they may differ.
    """
    found: dict[Key, Result] = {}
    names = VariantNames()
    twice = 0
    for result in joined(results):
        values = {**result.row, "variant": names.name(result)}
        key = tuple(None if name in across else values[name] for name in KEYS)
        if key in found:
            twice += 1
            check_same(path, {**found[key].row, "variant": names.name(found[key])}, values, across)
        found[key] = result
    if twice:
        warn(f"{path}: {twice} results are of a shape that was measured again later; the last one counts")
    return Side(path, found)


def check_same(path: str, one: Mapping[str, Any], other: Mapping[str, Any], across: Collection[str]) -> None:
    """Raise UsageError where two results of one side differ in what need not match the other side."""
    for name in KEYS:
        if name in across and one[name] != other[name]:
            said = " and ".join(map(str, (one[name] or FIRST, other[name] or FIRST)))
            raise UsageError(
                f"{path}: holds several results of one shape ({name} {said}), and with --across {name} any of them "
                "could be meant; leave that out, or give logs that hold one of them"
            )


def check_comparable(base: Side, new: Side, across: Collection[str]) -> Facts:
    """Return the facts that differ and may. Raises UsageError where others differ, or no shape is in both."""
    common = [key for key in base.results if key in new.results]
    if not common:
        raise UsageError(
            f"{base.name} and {new.name}: no shape is in both (model, class, sizes and variant must match"
            f"{variants_of(base, new)}; --across model,model_class,variant lets the first, the second and the last "
            "differ)"
        )
    differing: Facts = {}
    for key in common:
        differing |= differences(facts_of(base.results[key]), facts_of(new.results[key]))
    refused = {name: pair for name, pair in differing.items() if not allowed(name, across)}
    if refused:
        named = "; ".join(
            f"{name}: {short(one)} and {short(other)}" for name, (one, other) in list(refused.items())[:SHOWN]
        )
        more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        wanted = ",".join([*across, *refused])
        raise UsageError(
            f"{base.name} and {new.name} were measured under different fingerprints ({named}{more}); "
            f"if these may differ: --across {wanted}"
        )
    return differing


def variants_of(base: Side, new: Side) -> str:
    """Return which variants two sides have, where these differ."""
    place = KEYS.index("variant")
    found = [sorted({str(key[place] or FIRST) for key in side.results}) for side in (base, new)]
    if found[0] == found[1]:
        return ""
    return "; " + " and ".join(
        f"{side.name} has {', '.join(names)}" for side, names in zip((base, new), found, strict=True)
    )


def facts_of(result: Result) -> dict[str, Any]:
    """Return the fingerprint of a result."""
    return result.row["environment"] or {}


def allowed(name: str, across: Collection[str]) -> bool:
    """Whether a fact may differ: named in full, by a part above it, or by its last part, with `_version` or not."""
    parts = name.split(".")
    prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    whole = {DIGEST} if parts[0] == MODEL else set()
    return not {ALL, parts[-1], f"{parts[-1]}_version", *prefixes, *whole}.isdisjoint(across)


def tell_unsaid(base: Side, new: Side, warn: Callable[[str], None]) -> None:
    """Warn of what one side, which an earlier version measured, does not say: it cannot be compared."""
    for one, other in ((base, new), (new, base)):
        names: dict[str, None] = {}
        for key in one.results.keys() & other.results.keys():
            names |= dict.fromkeys(unsaid(facts_of(one.results[key]), facts_of(other.results[key])))
        if names:
            warn(f"{one.name}: an earlier version wrote it, which did not say {', '.join(names)}: not compared")


def check_names(sides: Collection[Side], across: Collection[str], warn: Callable[[str], None]) -> None:
    """Warn of names in --across that no fact has."""
    names = {name for side in sides for result in side.results.values() for name in flat(facts_of(result))}
    words = {*names, *(name.rpartition(".")[2] for name in names), *KEYS}
    for word in across:
        if word not in (*KEYS, DIGEST) and not any(allowed(name, [word]) for name in names):
            warn(f"--across {word}: no fact has that name{nearest(word, sorted(words))}")
