"""What is compared: the results of one path, by shape, and whether two of them may be compared at all."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fmbench.configuration import WORDS, Configuration, names
from fmbench.errors import UsageError, nearest
from fmbench.facts import DIGEST, MODEL, differences, flat, short, unsaid

from ..reading.joined import joined
from ..reading.row import Result
from ..workload import workload_of
from .nearest import between_nearest
from .runs import MEASURED, facts_of, runs_of, together
from .speeds import speeds_of
from .variant_names import FIRST, VariantNames

SHOWN = 4
KEYS = ("model", "model_class", "input", "batch", "variant", "configuration")
QUALITY_KEYS = ("model", "model_class", "dataset", "configuration")
ALL, SEED = "all", "seed"

Key = tuple[Any, ...]


class NothingInCommonError(UsageError):
    """Two paths have nothing in common that can be compared."""


Facts = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Side:
    """The results of one path, by KEYS; those that rank a data set, by QUALITY_KEYS, are its `quality`.

    How fast these were encoded are its `speeds`, by SPEED_KEYS.
    """

    name: str
    results: Mapping[Key, Result]
    quality: Mapping[Key, Result] = field(default_factory=dict)
    speeds: Mapping[Key, Result] = field(default_factory=dict)

    def pairs(self, other: "Side") -> Iterator[tuple[Result, Result]]:
        """Yield the results that both sides have."""
        for mine, theirs in ((self.results, other.results), (self.quality, other.quality)):
            yield from ((result, theirs[key]) for key, result in mine.items() if key in theirs)

    def has(self, key: Key) -> bool:
        """Whether it has a shape or a data set."""
        return key in self.results or key in self.quality

    def failed(self, key: Key) -> bool:
        """Whether a shape has an error in place of a result."""
        return key in self.results and self.results[key].row["status"] == "ERR"

    @property
    def every(self) -> Iterator[Result]:
        """All its results."""
        return itertools.chain(self.results.values(), self.quality.values())


def is_timed(result: Result) -> bool:
    """Whether a result is a shape, with its repetitions or instead of them an error, or a ranking of queries."""
    row = result.row
    if result.by_query or row["input"] is not None:
        return True
    return (
        row["batch"] is not None and not row.get("choice") and bool(result.durations or row["status"] not in MEASURED)
    )


def sides_of(
    paths: Sequence[str], read: Sequence[Iterable[Result]], across: Collection[str], warn: Callable[[str], None]
) -> list[Side]:
    """Return what was read as sides.

    Where one has several configurations of a shape, as a store has, shapes are matched by these too.

    Facts that may differ `across` the sides are no part of a configuration then.
    """
    found = [list(joined(results)) for results in read]
    known = reduced(itertools.chain.from_iterable(found), across) if any(map(has_several, found)) else {}
    seeded = not allowed(SEED, across) and any(has_several(results, seed_of) for results in found)
    return [side_of(path, results, across, warn, known, seeded) for path, results in zip(paths, found, strict=True)]


def has_several(results: Iterable[Result], of: Callable[[Result], Any] | None = None) -> bool:
    """Whether a shape, or a data set, has several configurations, or of one configuration several values of another.

    What failed tells nothing of the latter.
    """
    found: dict[Key, set[Any]] = {}
    for result in results:
        row = result.row
        what = result.by_query.dataset if result.by_query else (row["input"], row["batch"], row["overrides"])
        place, configuration = (row["model"], row["model_class"], what), row["configuration"]
        if of is None:
            found.setdefault(place, set()).add(configuration)
        elif of(result) is not None:
            found.setdefault((*place, configuration), set()).add(of(result))
    return any(len(values) > 1 for values in found.values())


def seed_of(result: Result) -> Any:
    """Return the seed of a result."""
    return facts_of(result).get(SEED)


def reduced(results: Iterable[Result], across: Collection[str]) -> dict[str, str]:
    """Return a name for each configuration, by its id: the same for those that differ in nothing but what may."""
    found: dict[str, Configuration] = {}
    for result in results:
        key = result.row["configuration"]
        if key is not None and key not in found and (whole := workload_of(result.row).configuration(result.row)):
            facts = {name: value for name, value in whole.facts.items() if not allowed(name, across)}
            found[key] = Configuration(whole.model, facts)
    named = names(found.values())
    return {key: named[one.id] for key, one in found.items()}


def side_of(
    path: str,
    results: Iterable[Result],
    across: Collection[str],
    warn: Callable[[str], None],
    configurations: Mapping[str, str] = MappingProxyType({}),
    seeded: bool = False,
) -> Side:
    """Return results as a side. Several runs of a shape are one result of so many processes.

    Of others that are of one shape (measured again in one log, failed, under another fingerprint), the last one counts.
    `configurations` names those that tell shapes apart; where they are `seeded`, so do their seeds. Raises UsageError
    where several models or variants would be one, since they may differ.
    """
    shapes: dict[Key, list[Result]] = {}
    quality: dict[Key, list[Result]] = {}
    variants = VariantNames()
    for result in joined(results):
        name = configurations.get(result.row["configuration"] or "")
        if seeded:
            name = ", ".join(filter(None, [name, f"seed {seed_of(result)}"]))
        values = {**result.row, "variant": variants.name(result), "configuration": name}
        found, keys = (quality, QUALITY_KEYS) if result.by_query else (shapes, KEYS)
        values["dataset"] = result.by_query and result.by_query.dataset
        key = tuple(None if name in across else values[name] for name in keys)
        if key in found:
            last = found[key][-1]
            check_same(path, {**last.row, "variant": variants.name(last)}, values, across)
        found.setdefault(key, []).append(result)
    chosen = {key: runs_of(every) for key, every in shapes.items()}
    twice = sum(map(len, [*shapes.values(), *quality.values()])) - sum(map(len, chosen.values())) - len(quality)
    if twice:
        warn(f"{path}: {twice} results are of a shape that was measured again later; the last one counts")
    speeds = {(*key, name): found for key, every in quality.items() for name, found in speeds_of(every)}
    return Side(path, {key: together(runs) for key, runs in chosen.items()},
                {key: every[-1] for key, every in quality.items()}, speeds)  # fmt: skip


def check_same(path: str, one: Mapping[str, Any], other: Mapping[str, Any], across: Collection[str]) -> None:
    """Raise UsageError where two results of one side differ in what need not match the other side.

    Versions may: what was measured again after an upgrade is newer.
    """
    facts = [row["environment"] or {} for row in (one, other)]
    differing = {name: (one[name] or FIRST, other[name] or FIRST) for name in KEYS[:-1] if name in across}
    others = [name for name in (*WORDS[1:], SEED) if allowed(name, across)]
    differing |= {name: (facts[0].get(name), facts[1].get(name)) for name in others}
    for name, pair in differing.items():
        if pair[0] != pair[1]:
            raise UsageError(
                f"{path}: holds several results of one shape ({name} {pair[0]} and {pair[1]}), and with --across "
                f"{','.join(across)} any of them could be meant; let no {name} differ, or give logs of one"
            )


def check_comparable(base: Side, new: Side, across: Collection[str]) -> Facts:
    """Return the facts that differ and may. Raises UsageError where others differ, or no shape is in both."""
    common = [*base.pairs(new)]
    if not common:
        kept_apart = (between_nearest(base.results, new.results, KEYS.index("configuration"))
                      or between_nearest(base.quality, new.quality, QUALITY_KEYS.index("configuration")))  # fmt: skip
        if kept_apart:
            raise NothingInCommonError(
                f"{base.name} and {new.name}: no shape is in both under one configuration; the nearest differ "
                f"{in_words(kept_apart, across)}"
            )
        raise NothingInCommonError(
            f"{base.name} and {new.name}: no shape is in both (model, class, sizes and variant must match, and "
            "the configuration where a path holds several"
            f"{variants_of(base, new)}; --across model,model_class,variant lets the first, the second and the last "
            "differ)"
        )
    differing: Facts = {}
    for pair in common:
        differing |= differences(*said_by_both(pair))
    refused = {name: pair for name, pair in differing.items() if not allowed(name, across)}
    if refused:
        raise UsageError(
            f"{base.name} and {new.name} were measured under different fingerprints {in_words(refused, across)}"
        )
    return differing


def in_words(refused: Facts, across: Collection[str]) -> str:
    """Return what differs, and the words that let it."""
    named = [f"{name}: {short(one)} and {short(other)}" for name, (one, other) in refused.items()]
    more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
    wanted = ",".join(dict.fromkeys([*across, *refused]))
    return f"({'; '.join(named[:SHOWN])}{more}); if these may differ: --across {wanted}"


def said_by_both(pair: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the fingerprints of two results; beside one that failed, as far as it came to say its own."""
    found = [facts_of(result) for result in pair]
    failed = [facts for facts, result in zip(found, pair, strict=True) if result.row["status"] == "ERR"]
    return [{name: facts[name] for name in facts if all(name in other for other in failed)} for facts in found]


def variants_of(base: Side, new: Side) -> str:
    """Return which variants two sides have, where these differ."""
    place = KEYS.index("variant")
    found = [sorted({str(key[place] or FIRST) for key in side.results}) for side in (base, new)]
    if found[0] == found[1]:
        return ""
    return "; " + " and ".join(
        f"{side.name} has {', '.join(names) or 'none'}" for side, names in zip((base, new), found, strict=True)
    )


def allowed(name: str, across: Collection[str]) -> bool:
    """Whether a fact may differ: named in full, by a part above it, or by its last part, with `_version` or not."""
    parts = name.split(".")
    prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    whole = {DIGEST} if parts[0] == MODEL else set()
    return not {ALL, parts[-1], f"{parts[-1]}_version", *prefixes, *whole}.isdisjoint(across)


def tell_unsaid(base: Side, new: Side, warn: Callable[[str], None]) -> None:
    """Warn of what one side, which an earlier version measured, does not say: it cannot be compared."""
    for one, other in ((base, new), (new, base)):
        left_out: dict[str, None] = {}
        for pair in one.pairs(other):
            left_out |= dict.fromkeys(unsaid(*said_by_both(pair)))
        if left_out:
            warn(f"{one.name}: an earlier version wrote it, which did not say {', '.join(left_out)}: not compared")


def known_names(sides: Collection[Side], across: Collection[str], warn: Callable[[str], None]) -> list[str]:
    """Return the names in --across without those that no fact has, with a warning of each."""
    known = {name for side in sides for result in side.every for name in flat(facts_of(result))}
    words = {*known, *(name.rpartition(".")[2] for name in known), *KEYS}
    found = [word for word in across if word in (*KEYS, DIGEST) or any(allowed(name, [word]) for name in known)]
    for word in across:
        if word not in found:
            warn(f"--across {word}: no fact has that name{nearest(word, sorted(words))}")
    return found
