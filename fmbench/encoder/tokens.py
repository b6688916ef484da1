"""Texts to token ids, as the model's own tokenizer does it, without touching the tokenizer's state afterwards."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmbench.console import warn
from fmbench.errors import UsageError, first_line

from .plan import EncoderPlan, check_lengths
from .recipe import ROLES, Recipe

if TYPE_CHECKING:
    import numpy as np

UNLIMITED = 10**9  # transformers says "no limit" with a far larger number


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, one after the other; those of text i are `ids[starts[i]:starts[i + 1]]`."""

    ids: "np.ndarray"  # int64
    types: "np.ndarray | None"  # of the same shape, or None where all are zero, which is what a model assumes
    starts: "np.ndarray"  # int64, one more than there are texts

    @property
    def lengths(self) -> "np.ndarray":
        """How many tokens each text has."""
        import numpy as np

        return np.diff(self.starts)


class Tokenizer:
    """A transformers tokenizer with one prompt and one maximum length. Calls from several threads are safe."""

    def __init__(self, tokenizer: Any, prompt: str, max_length: int | None) -> None:
        """Copy the tokenizer's rules. Raises UsageError for one that is not a fast tokenizer."""
        self._rules = copied_rules(tokenizer)
        self._rules.no_padding()
        self._rules.no_truncation()
        self._prompt = prompt
        self._special = frozenset(tokenizer.all_special_ids)
        self._has_types = "token_type_ids" in tokenizer.model_input_names
        if max_length is not None:
            self._rules.enable_truncation(max_length, direction=tokenizer.truncation_side)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of texts, each after the prompt."""
        import numpy as np

        encoded = self._rules.encode_batch_fast([self._prompt + text for text in texts])
        starts = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=starts[1:])
        types = joined([one.type_ids for one in encoded], starts) if self._has_types else None
        if types is not None and not types.any():
            types = None
        return Tokens(joined([one.ids for one in encoded], starts), types, starts)

    @property
    def prompt_length(self) -> int:
        """How many tokens the prompt takes at the beginning of a text, a leading special token included."""
        if not self._prompt:
            return 0
        ids = self._rules.encode_batch_fast([self._prompt])[0].ids
        return len(ids) - (bool(ids) and ids[-1] in self._special)


def copied_rules(tokenizer: Any) -> Any:
    """Return a copy of a fast tokenizer's rules, a `tokenizers.Tokenizer`."""
    import tokenizers

    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(f"{type(tokenizer).__name__}: not a fast tokenizer; save the model with its tokenizer.json")
    rules = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    rules.encode_special_tokens = tokenizer.backend_tokenizer.encode_special_tokens
    return rules


def lower_case(tokenizer: Any) -> None:
    """Make a fast tokenizer lower its texts first, as `do_lower_case` of a sentence-transformers folder asks."""
    from tokenizers import normalizers

    rules = tokenizer.backend_tokenizer
    parts = [] if rules.normalizer is None else [rules.normalizer]
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


def load_tokenizer(plan: EncoderPlan) -> Any:
    """Load the tokenizer beside the model, set up as its folder asks. Raises UsageError where there is none."""
    import transformers

    folder = plan.folder.path / plan.folder.transformer
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **plan.folder.tokenizer_options)
    except Exception as error:  # a missing or damaged file, an option that it does not know
        raise UsageError(f"{folder}: no tokenizer to be loaded ({first_line(error)})") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes one up where there are no files
        raise UsageError(f"{folder}: holds no tokenizer; texts need one")
    if plan.folder.lower_case:
        lower_case(tokenizer)
    return tokenizer


def resolved(plan: EncoderPlan, tokenizer: Any, limit: int | None) -> Recipe:
    """Return the recipe with what the command line leaves open taken from the folder, the tokenizer and the model.

    `limit` is how many tokens the model takes, or None. Raises UsageError where the command line wants more; it is
    said where the folder or its tokenizer does.
    """
    own = tokenizer.model_max_length if tokenizer.model_max_length < UNLIMITED else None
    published = plan.folder.max_length or own
    causal = str((plan.source.config.get("architectures") or [""])[0]).endswith("ForCausalLM")
    default = Recipe(
        pooling=("last",) if causal and plan.source.config.get("is_causal", True) else ("mean",),
        include_prompt=True,
        query_prompt="",
        passage_prompt="",
        query_max_length=published,
        passage_max_length=published,
    )
    check_lengths(plan.said, plan.source, limit)
    found = plan.said.over(plan.folder.recipe.over(default))
    lengths = {role: found.max_length(role) for role in ROLES}
    if limit is None or all(length is not None and length <= limit for length in lengths.values()):
        return found
    beyond = max((length for length in lengths.values() if length is not None), default=0)
    if beyond > limit:
        warn(f"{plan.source.location}: texts are cut at {limit} tokens, which is all the model takes, not at {beyond}")
    query, passage = (min(filter(None, (length, limit))) for length in lengths.values())
    return dataclasses.replace(found, query_max_length=query, passage_max_length=passage)
