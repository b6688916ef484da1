"""One entry of a store: which files it has, and what its environment.json says."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench.digest import digest_of_json
from fmbench.errors import UsageError

from ..reading.saved import check_version

FORMAT = 1  # of environment.json and of the store's layout: the key `store`
LOG, RESULTS, COMMIT = "driver.log.gz", "results.json", "environment.json"
FILES = (LOG, RESULTS, COMMIT)
SHORT = 12  # digits of the log's digest at the end of a run's name

Facts = dict[str, Any]
SHAPE: dict[str, type] = {
    "machine": dict,
    "run": dict,
    "log": dict,
    "results": dict,
    "results.statuses": dict,
    "results.models": list,
    "results.platforms": list,
    "files": dict,
    "environments": list,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of an entry without reading its log. `facts` is its environment.json."""

    name: str  # machine/run
    facts: Facts

    @property
    def machine(self) -> str:
        """The machine that its log is of, whatever folder it lies in."""
        return str(self.facts["machine"].get("name") or self.name.partition("/")[0])

    @property
    def run(self) -> str:
        """Its second folder."""
        return self.name.partition("/")[2]

    @property
    def own_name(self) -> str:
        """Where it belongs: a copy elsewhere has the same."""
        return f"{self.machine}/{self.facts['run'].get('name')}"


def encode(facts: Facts) -> bytes:
    """Return the text of an environment.json, with a digest of all that it says."""
    whole = {**facts, "digest": seal_of(facts)}
    return (json.dumps(whole, indent=2, allow_nan=False) + "\n").encode()


def seal_of(facts: Facts) -> str:
    """Return the digest of facts, whatever digest they carry."""
    return digest_of_json({key: value for key, value in facts.items() if key != "digest"})


def decode(content: bytes | None, name: str) -> Entry:
    """Read an environment.json. Raises UsageError for what is none, and for one that is not what was written."""
    facts = parse(content, name)
    entry = Entry(name, checked(facts, name))
    if facts.get("digest") != seal_of(facts):
        raise UsageError(f"{name}/{COMMIT}: was changed since it was written")
    return entry


def parse(content: bytes | None, name: str) -> Facts:
    """Return what an environment.json says. Raises UsageError for none."""
    if content is None:
        raise UsageError(f"{name}/{COMMIT}: is missing")
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}/{COMMIT}: no JSON ({error})") from None
    if not isinstance(facts, dict):
        raise UsageError(f"{name}/{COMMIT}: no environment.json of a store")
    return facts


def checked(facts: Facts, name: str) -> Facts:
    """Return facts. Raises UsageError for those of a newer version, and of what has not what it must have."""
    try:
        check_version(facts, "store", FORMAT)
        for key, kind in SHAPE.items():
            value: Any = facts
            for word in key.split("."):
                value = value.get(word)  # those above come first, and are objects
            if not isinstance(value, kind):
                raise ValueError(f"{key} is missing or not what it should be")
    except ValueError as error:
        raise UsageError(f"{name}/{COMMIT}: {error}") from None
    return facts


def digest_of(path: Path) -> dict[str, Any]:
    """Return the digest and the size of a file."""
    with path.open("rb") as stream:
        return {"sha256": hashlib.file_digest(stream, "sha256").hexdigest(), "bytes": path.stat().st_size}
