"""Late interaction: one short vector a token, and a text's score is the sum of its query tokens' best matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import punctuation
from typing import TYPE_CHECKING, Any

from fmbench.digest import digest_of_files
from fmbench.errors import UsageError, first_line
from fmbench.json_file import read_required

if TYPE_CHECKING:
    import torch

DIMENSIONS = 96
QUERY_LENGTH = 32
LINEAR = "linear.weight"
METADATA = "artifact.metadata"


@dataclass(frozen=True)
class Head:
    """A linear layer from hidden states to token vectors, and how long a query is made: (dimensions, d) in float32.

    `origin` says where the weights are from: a checkpoint, or a seed.
    """

    weight: "torch.Tensor"
    query_length: int
    origin: str

    def check_size(self, hidden_size: int) -> None:
        """Raise UsageError where it does not take the hidden states of a model of this size."""
        if self.weight.shape[1] != hidden_size:
            raise UsageError(
                f"--colbert: {LINEAR} takes {self.weight.shape[1]} numbers a token; the model has {hidden_size}"
            )

    def project(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Return the vectors of tokens before they are normalised, in float32, whatever type the model computes in."""
        from torch.nn.functional import linear

        return linear(hidden.float(), self.weight.to(hidden.device))


def random_head(hidden_size: int, seed: int) -> Head:
    """Return a head of seeded random weights, which keeps lengths on average."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(DIMENSIONS, hidden_size, generator=generator) / DIMENSIONS**0.5
    return Head(weight, QUERY_LENGTH, f"seed {seed}")


def read_head(folder: Path) -> Head:
    """Read the head of a ColBERT checkpoint. Raises UsageError for a folder without one."""
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    try:
        with safe_open(path, "pt") as file:
            if LINEAR not in file.keys():  # noqa: SIM118  safe_open is no mapping
                raise UsageError(f"{path}: has no {LINEAR}; it is no ColBERT checkpoint")
            weight = file.get_tensor(LINEAR).float()
    except FileNotFoundError:
        raise UsageError(f"{path}: not readable (no such file); name the folder of a ColBERT checkpoint") from None
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)})") from None
    if weight.dim() != 2:
        raise UsageError(f"{path}: {LINEAR} has {weight.dim()} dimensions; it is no linear layer's")
    return Head(weight, query_length(folder / METADATA), "checkpoint")


def head_digest(folder: Path | None) -> str | None:
    """Return the digest of a checkpoint's head and of how long its queries are; None where there is none to read."""
    files = [] if folder is None else [folder / "model.safetensors", folder / METADATA]
    there = [path for path in files if path.is_file()]
    return digest_of_files(there) if there else None


def query_length(path: Path) -> int:
    """Return how many tokens a checkpoint's queries have; what is usual where it does not say."""
    if not path.is_file():
        return QUERY_LENGTH
    return read_required(path).known_count("query_maxlen")


def skipped_ids(tokenizer: Any) -> list[int]:
    """Return the ids of punctuation, whose tokens a passage's vectors leave out."""
    known = {tokenizer.convert_tokens_to_ids(mark) for mark in punctuation}
    return sorted(token for token in known if token is not None and token != tokenizer.unk_token_id)


def augment(ids: Sequence[int], length: int, tokenizer: Any) -> list[int]:
    """Return a query's tokens cut or filled up to one length, with mask tokens that take part in the search.

    The last token stays last where the query is cut. A tokenizer without a mask token fills up with padding.
    """
    fill = tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.pad_token_id or 0
    if len(ids) > length:
        return [*ids[: length - 1], ids[-1]]
    return [*ids, *[fill] * (length - len(ids))]


def max_sim(query: "torch.Tensor", tokens: "torch.Tensor", starts: "torch.Tensor") -> "torch.Tensor":
    """Return the score of each text (n): for each query token (q, d) the best of the text's tokens, summed.

    `tokens` (t, d) are those of all texts, one after the other; text i has `tokens[starts[i]:starts[i + 1]]`. A text
    without tokens scores 0.
    """
    return best_of_texts(tokens @ query.T, starts).sum(dim=1)


def best_of_texts(products: "torch.Tensor", starts: "torch.Tensor") -> "torch.Tensor":
    """Return the largest value a text and query token, (n, q) from (t, q); 0 where a text has no token."""
    import torch

    lengths = starts.diff()
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=products.device), lengths.to(products.device))
    best = torch.full((len(lengths), products.shape[1]), float("-inf"), dtype=products.dtype, device=products.device)
    best.scatter_reduce_(0, owner[:, None].expand_as(products), products, "amax")
    return best.masked_fill(best == float("-inf"), 0.0)
