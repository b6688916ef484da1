"""Rounding a model's numbers to 8 bits: in which way, and after which texts, the first ones of a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.console import warn
from fmbench.digest import digest_of_json
from fmbench.errors import UsageError, nearest
from fmbench.facts import package_version
from fmbench.options import Arguments

if TYPE_CHECKING:
    import torch

OPTIONS = ("quantize", "calibration")  # below --platform:
TEXTS, TOKENS = 128, 256  # how many texts are looked at, and how much of one
FEW = 32  # texts, below which it is warned of


@dataclass(frozen=True)
class Quantisation:
    """One way to round. `texts` show what numbers a model computes with, where the way asks for them."""

    name: str
    library: str  # that rounds
    texts: tuple[str, ...] = ()
    narrow: bool = False  # weights have 7 bits: sums of a CPU without instructions for 8 may overflow

    @classmethod
    def of(cls, arguments: Arguments, ways: Mapping[str, bool], library: str, narrow: bool) -> "Quantisation | None":
        """Return what a command line asks for; `ways` are those that a library has, and whether each wants texts.

        Raises UsageError.
        """
        name, path = (arguments.literal("platform", option) for option in OPTIONS)
        if name is None and path is None:
            return None
        if name not in ways:
            hint = nearest(str(name), ways)
            raise UsageError(f"--platform:quantize {name}: unknown{hint} (it takes {', '.join(ways)})")
        if ways[name] == (path is None):
            why = "learns from texts; add --platform:calibration FILE" if path is None else "takes no calibration"
            raise UsageError(f"--platform:quantize {name}: {why}")
        return cls(str(name), library, read(Path(str(path)).expanduser()) if path else (), narrow)

    def warn_of_few(self) -> None:
        """Warn where there are texts, but so few that the scales may not hold for others."""
        if 0 < len(self.texts) < FEW:
            count = f"{len(self.texts)} text{'s' if len(self.texts) > 1 else ''}"
            warn(f"--platform:calibration: holds {count}; with fewer than {FEW} the scales may not suit others")

    def facts(self) -> dict[str, Any]:
        """Return everything that decides what is rounded to what, as JSON values."""
        chosen = {"digest": digest_of_json(self.texts), "texts": len(self.texts), "most_tokens": TOKENS}
        return {
            "quantize": self.name,
            "quantizer": f"{self.library} {package_version(self.library)}",
            "calibration": chosen if self.texts else None,
            "bits": 7 if self.narrow else 8,
        }

    def batches(self, model: Any, names: tuple[str, ...]) -> "list[dict[str, torch.Tensor]]":
        """Return each text alone as the model's own tokenizer has it: tensors (1, tokens) of these names.

        Raises UsageError where the model has no tokenizer.
        """
        import transformers

        if not self.texts:
            return []
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(model.name_or_path, trust_remote_code=False)
        except Exception:  # whatever a missing or damaged file raises
            tokenizer = None
        if tokenizer is None or len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes one up
            raise UsageError("--platform:calibration: no tokenizer lies beside this model's weights; texts need one")
        most = min(TOKENS, tokenizer.model_max_length)
        encoded = [tokenizer(text, truncation=True, max_length=most, return_tensors="pt") for text in self.texts]
        types = [{"token_type_ids": one["input_ids"] * 0, **one} for one in encoded]
        return [{name: one[name] for name in names} for one in types]


def read(path: Path) -> tuple[str, ...]:
    """Return the first texts of a file as `fmbench.collection` reads them. Raises UsageError."""
    from fmbench.collection.texts import Texts

    texts = tuple(document.passage for document in islice(Texts([path]), TEXTS) if document.passage)
    if not texts:
        raise UsageError(f"--platform:calibration {path}: holds no text")
    return texts
