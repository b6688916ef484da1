"""Runs that ended before their model was set up: what they did not come to say, the same command said elsewhere."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fmbench.configuration import is_set_up, options_of
from fmbench.facts import differences

from ..workload import workload_of
from .row import Result, precision

SAME = ("model", "model_class")  # beside the facts
DECIDES = re.compile(r"--(model_name|model_root|platform|vs)( |$)")  # a configuration, beside its options
Row = Mapping[str, Any]


def recognised(results: Iterable[Result], among: Iterable[Result] | None = None) -> list[Result]:
    """Return results, those of runs that ended so early under the configuration that their command has `among` others.

    That is on the same machine. What such a run did say itself (versions, variables) stays: only the rest is taken,
    from the run that has most of it in common, the newest of several. By default these are the results themselves.
    """
    found = list(results)
    whole: dict[Any, list[Row]] = {}
    for row in (result.row for result in (found if among is None else among)):
        for key in commands_of(row) if knows_model(row["environment"] or {}) else ():
            told = whole.setdefault(key, [])
            told += [row] if not told or told[-1]["environment"] != row["environment"] else []
    return [completed(result, whole) if ended_early(result.row) else result for result in found]


def ended_early(row: Row) -> bool:
    """Whether a row is of a run that ended before its model was set up."""
    return row["status"] in ("ERR", "PARTIAL") and not knows_model(row["environment"] or {})


def knows_model(facts: Row) -> bool:
    """Whether a run came to say what its model is; one of a platform that builds none has no type, and no weights."""
    return is_set_up(facts) or "weights" in facts


def commands_of(row: Row) -> Iterator[tuple[Any, ...]]:
    """Yield what tells the command of a row, and its machine: its cell, its arguments, those that decide what runs.

    Of the last, others may have been asked for: repetitions, sizes, files.
    """
    if row.get("cell"):
        yield row["machine"], row["variant"], row["cell"]["id"]
    yield row["machine"], row["variant"], *sorted(row["opts"])
    decides = [text for text in row["opts"] if DECIDES.match(text)] + options_of(row["opts"], {})
    yield row["machine"], row["variant"], "decides", *sorted(set(decides))


def completed(result: Result, whole: Mapping[Any, Sequence[Row]]) -> Result:
    """Return a result with what the same command says of its configuration, as far as anything does."""
    own = result.row["environment"] or {}
    others = next((whole[key] for key in commands_of(result.row) if key in whole), [])
    if not own or not others:
        return result
    nearest = min(reversed(others), key=lambda row: len(differences(*in_both(own, row["environment"]))))
    facts = {**nearest["environment"], **own}
    row = {**result.row, **{key: nearest[key] for key in SAME}, "environment": facts, "precision": precision(facts)}
    configuration = workload_of(row).configuration(row)
    return replace(result, row={**row, "configuration": configuration and configuration.id})


def in_both(one: Row, other: Row) -> list[dict[str, Any]]:
    """Return two fingerprints as far as both go."""
    return [{name: facts[name] for name in one if name in other} for facts in (one, other)]
