"""What the vectors in a folder are of: everything that changes them, and how they were cut into files."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fmbench import facts
from fmbench.digest import digest_of_json
from fmbench.errors import UsageError, first_line
from fmbench.walk import inside
from fmbench.whole_file import cut, part_beside, written

FORMAT = 1
FILE = "manifest.json"
SHARDS = 256  # at most about so many files
DIGESTS = ("weights", "configuration", "code", "tokenizer", "modules")
LATER = ("configuration",)  # which the first versions did not keep
UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Manifest:
    """`key` is what decides which vectors they are; the rest says how they were made and lie there."""

    key: dict[str, Any]
    model: str
    role: str
    texts: int
    dimension: int
    chunk: int  # texts that were encoded together
    texts_per_shard: int  # a multiple of it
    tokens_per_batch: int
    format: int = FORMAT

    @property
    def shards(self) -> int:
        """How many files there are when all is encoded."""
        return -(-self.texts // self.texts_per_shard)

    def size(self, index: int) -> int:
        """Return how many texts a file holds."""
        return min(self.texts_per_shard, self.texts - index * self.texts_per_shard)

    def write_new(self, folder: Path) -> bool:
        """Write the manifest where there is none; return whether it was written. Another process's is left alone."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        path = folder / FILE
        with written(path), part_beside(path) as part:
            with part.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            try:
                path.hardlink_to(part)
            except FileExistsError:
                return False
        return True


def read(folder: Path) -> Manifest | None:
    """Read a folder's manifest, or return None where there is none of this format."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(**found) if found.get("format") == FORMAT else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)}); delete its folder to encode anew") from None


def folder_name(key: dict[str, Any], model: str, role: str) -> str:
    """Return a folder's name: what a person wants to know, and the digest of the key."""
    return f"{cut(UNSAFE.sub('-', model)[-60:], 120).strip('-.')}-{role}-{digest_of_json(key)[:20]}"


def texts_per_shard(texts: int, chunk: int) -> int:
    """Return how many texts a file holds: one chunk, or several where there would be too many files."""
    return chunk * max(1, -(-texts // (chunk * SHARDS)))


def what_changed(key: dict[str, Any], directory: Path) -> str | None:
    """Return in what a key differs from the most similar one in a cache, or None where nothing there is like it."""
    nearest: tuple[dict[str, tuple[Any, Any]], Path] | None = None
    for entry in inside(directory):
        folder = Path(entry.path)
        try:
            other = read(folder) if entry.is_dir() else None
        except UsageError:
            continue
        alike = other is not None and any(other.key.get(name) == key[name] for name in ("input", "weights"))
        if other is None or not alike or other.key["role"] != key["role"]:
            continue
        before, after = facts.flat(other.key), facts.flat(key)
        differing = {name: (before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())
                     if before.get(name) != after.get(name)}  # fmt: skip
        if differing and (nearest is None or len(differing) < len(nearest[0])):
            nearest = differing, folder
    if nearest is None:
        return None
    parts = ", ".join(dict.fromkeys(in_words(name, *pair) for name, pair in nearest[0].items()))
    return f"{parts} (compared with {nearest[1].name})"


def in_words(name: str, before: Any, after: Any) -> str:
    """Return how a key differs; of a digest there is nothing to read."""
    part = name.partition(".")[0]
    if part not in DIGESTS:
        return f"{name} {short(before)} -> {short(after)}"
    if before is None and part in LATER:
        return f"the {part} of before is not known"
    return facts.said_of(f"{facts.MODEL}.{part}", before, after)


def short(value: Any) -> str:
    """Return a value as one short word or phrase."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
