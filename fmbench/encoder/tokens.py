"""Texts to token ids, as the model's own tokenizer does it, without touching the tokenizer's state afterwards."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.console import warn
from fmbench.errors import UsageError, first_line
from fmbench.json_file import LARGEST
from fmbench.remote_code import asks_for_trust, check_tokenizer, refused
from fmbench.source import read_config

from .folder import Folder, assumed_pooling
from .plan import EncoderPlan, check_lengths
from .recipe import ROLES, Recipe

if TYPE_CHECKING:
    import numpy as np

ROUNDED = 128  # what sizes of vocabularies are rounded up to
UNLIMITED = 10**9  # transformers says "no limit" with a far larger number
LONG = 10_000  # characters of a text that takes milliseconds


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, one after the other; those of text i are `ids[starts[i]:starts[i + 1]]`."""

    ids: "np.ndarray"  # int64
    types: "np.ndarray | None"  # of the same shape, or None where all are zero, which is what a model assumes
    starts: "np.ndarray"  # int64, one more than there are texts

    @cached_property
    def lengths(self) -> "np.ndarray":
        """How many tokens each text has."""
        import numpy as np

        return np.diff(self.starts)

    @classmethod
    def joined(cls, parts: "Sequence[Tokens]") -> "Tokens":
        """Return the tokens of several, in their order."""
        import numpy as np

        ids = np.concatenate([part.ids for part in parts])
        types = [np.zeros_like(part.ids) if part.types is None else part.types for part in parts]
        lengths = np.concatenate([part.lengths for part in parts])
        known = any(part.types is not None for part in parts)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(ids, np.concatenate(types) if known else None, starts)


class Tokenizer:
    """A transformers tokenizer with one prompt and one maximum length. Calls from several threads are safe."""

    def __init__(self, tokenizer: Any, prompt: str, max_length: int | None, special_tokens: bool = True) -> None:
        """Copy the tokenizer's rules. Raises UsageError for one that is not a fast tokenizer."""
        self.origin, self.prompt, self.max_length, self.special_tokens = tokenizer, prompt, max_length, special_tokens
        self.rules = copied_rules(tokenizer)
        self.rules.no_padding()
        self.rules.no_truncation()
        self.padding_id: int = tokenizer.pad_token_id or 0
        self._special = frozenset(tokenizer.all_special_ids)
        self._has_types = special_tokens and "token_type_ids" in tokenizer.model_input_names
        if max_length is not None:
            check_room(self.rules, prompt, max_length, tokenizer.truncation_side, special_tokens)
            self.rules.enable_truncation(max_length, direction=tokenizer.truncation_side)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of texts, each after the prompt."""
        import numpy as np

        prompted = [self.prompt + text for text in texts]
        if len(prompted) == 1 and len(prompted[0]) < LONG:
            # In this thread, which to wake another one takes as long as, and with Python's lock held.
            encoded = [self.rules.encode(prompted[0], add_special_tokens=self.special_tokens)]
        else:
            encoded = self.rules.encode_batch_fast(prompted, add_special_tokens=self.special_tokens)
        starts = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=starts[1:])
        types = joined([one.type_ids for one in encoded], starts) if self._has_types else None
        if types is not None and not types.any():
            types = None
        return Tokens(joined([one.ids for one in encoded], starts), types, starts)

    def one(self, text: str) -> tuple[list[int], list[int] | None]:
        """Return the token ids of one text, and their types where not all are zero: the quick way."""
        found = self.rules.encode(self.prompt + text, add_special_tokens=self.special_tokens)
        return found.ids, found.type_ids if self._has_types and any(found.type_ids) else None

    @cached_property
    def prompt_length(self) -> int:
        """How many tokens the prompt takes at the beginning of a text, a leading special token included."""
        if not self.prompt:
            return 0
        ids = self.rules.encode_batch_fast([self.prompt], add_special_tokens=self.special_tokens)[0].ids
        return len(ids) - (bool(ids) and ids[-1] in self._special)


def check_room(rules: Any, prompt: str, max_length: int, side: str = "right", special_tokens: bool = True) -> None:
    """Raise UsageError where the prompt leaves no token of a text: all vectors would be the same one.

    `rules` is a `tokenizers.Tokenizer` that does not cut yet. Where it cuts on the left, the text's end stays.
    """
    special = len(rules.encode("", add_special_tokens=special_tokens).ids)
    taken = len(rules.encode(prompt, add_special_tokens=special_tokens).ids)
    if special >= max_length:
        raise UsageError(
            f"a maximum length of {max_length} tokens: special tokens take {special}; no text would be seen"
        )
    if taken >= max_length and side == "right":
        raise UsageError(
            f"the prompt {prompt[:40]!r} takes {taken} tokens, special ones included, and the maximum length is "
            f"{max_length}: no text would be seen; shorten it, or raise --query_max_len or --passage_max_len"
        )


def copied_rules(tokenizer: Any) -> Any:
    """Return a copy of a fast tokenizer's rules, a `tokenizers.Tokenizer`."""
    import tokenizers

    check_fast(tokenizer)
    rules = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    rules.encode_special_tokens = tokenizer.backend_tokenizer.encode_special_tokens
    return rules


def check_fast(tokenizer: Any) -> None:
    """Raise UsageError for a tokenizer that is no fast one."""
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(f"{type(tokenizer).__name__}: not a fast tokenizer; save the model with its tokenizer.json")


def lower_case(tokenizer: Any) -> None:
    """Make a fast tokenizer lower its texts first, as `do_lower_case` of a sentence-transformers folder asks.

    As in that library, one that lowers them at some step already is left as it is.
    """
    from tokenizers import normalizers

    rules = tokenizer.backend_tokenizer
    own: Any = rules.normalizer
    several = isinstance(own, normalizers.Sequence)
    listed = list(own) if several else [own]
    if any(isinstance(part, normalizers.Lowercase) for part in listed):
        return
    parts = [] if own is None else [own]
    rules.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])


def digest(tokenizer: Any) -> str:
    """Return the sha256 of everything that decides which tokens a text becomes, maximum length and prompt aside."""
    rules = copied_rules(tokenizer)
    rules.no_padding()
    rules.no_truncation()
    rest = [tokenizer.truncation_side, tokenizer.pad_token_id]
    return hashlib.sha256((rules.to_str() + json.dumps(rest)).encode()).hexdigest()


def joined(parts: Sequence[Sequence[int]], starts: "np.ndarray") -> "np.ndarray":
    """Return lists of integers one after the other."""
    import numpy as np

    whole = np.empty(int(starts[-1]), dtype=np.int64)
    for index, part in enumerate(parts):
        whole[starts[index] : starts[index + 1]] = part
    return whole


def load_tokenizer(published: Folder, trusted: bool = False) -> Any:
    """Load the tokenizer beside the model, set up as its folder asks. Raises UsageError where there is none.

    `trusted`: whether code that comes with it may run.
    """
    import transformers

    folder = published.first
    check_tokenizer(folder, trusted)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, **published.tokenizer_options, trust_remote_code=trusted
        )
    except Exception as error:  # a missing or damaged file, an option that it does not know
        if asks_for_trust(error):
            raise refused(folder) from None
        raise UsageError(f"{folder}: no tokenizer to be loaded ({first_line(error)})") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes one up where there are no files
        raise UsageError(f"{folder}: holds no tokenizer; texts need one")
    check_fast(tokenizer)
    check_vocabulary(folder, len(tokenizer))
    if published.lower_case:
        lower_case(tokenizer)
    return tokenizer


def check_vocabulary(folder: Path, known: int) -> None:
    """Warn where a plain list of tokens is shorter than the model's, beyond any rounding: one cut short reads well."""
    plain = (folder / "vocab.txt").is_file() and not (folder / "tokenizer.json").is_file()
    rows = (read_config(folder / "config.json").get("vocab_size") or 0) if plain else 0
    if rows - known >= ROUNDED:
        warn(
            f"{folder}: its tokenizer knows {known:,} tokens and the model {rows:,}: is vocab.txt complete? What it "
            "lacks is read as unknown words"
        )


def own_length(published: Folder, tokenizer: Any) -> int | None:
    """Return how many tokens a text may have by folder and tokenizer; None for no limit. Raises UsageError."""
    if published.max_length is not None:
        return published.max_length
    length = tokenizer.model_max_length
    if isinstance(length, (int, float)) and length >= UNLIMITED:
        return None
    if type(length) is not int or not 1 <= length <= LARGEST:
        raise UsageError(
            f"{published.first}/tokenizer_config.json: model_max_length is {length!r}; expected "
            "a whole number from 1 on"
        )
    return length


def within_positions(published: Folder, length: int | None, limit: int | None) -> int | None:
    """Return a folder's maximum length, cut to what the model takes (`fmbench.positions`), which is said."""
    if length is None or limit is None:
        return length or limit
    if length > limit:
        warn(
            f"{published.path}: its maximum length of {length} tokens is beyond the model's {limit} positions; "
            f"texts are cut at {limit}"
        )
    return min(length, limit)


def resolved(plan: EncoderPlan, tokenizer: Any, limit: int | None) -> Recipe:
    """Return the recipe with what the command line leaves open taken from the folder, the tokenizer and the model.

    `limit` is how many tokens the model takes, or None. Raises UsageError where the command line wants more.
    """
    check_lengths(plan.said, plan.source, limit)
    published = plan.folder.recipe
    own = own_length(plan.folder, tokenizer)
    lengths = [plan.said.max_length(role) or published.max_length(role) or own for role in ROLES]
    cut = {length: within_positions(plan.folder, length, limit) for length in dict.fromkeys(lengths)}
    default = Recipe(
        pooling=(assumed_pooling(plan.source.config),),
        include_prompt=True,
        query_prompt="",
        passage_prompt="",
    )
    query, passage = (cut[length] for length in lengths)
    found = plan.said.over(published.over(default))
    return dataclasses.replace(found, query_max_length=query, passage_max_length=passage)
