"""What encoding took, on one rank or on all of them."""

from dataclasses import dataclass
from typing import Any

from fmbench.distributed import Group
from fmbench.encoder import Timings

STAGES = ("tokenise", "wait", "collate", "forward", "pool")


@dataclass(frozen=True)
class Work:
    """Counts and seconds. `texts` counts those of the cache too, `encoded` only what was computed."""

    texts: int
    encoded: int
    empty: int
    tokens: int
    padded_tokens: int
    seconds: tuple[float, ...]  # of each of STAGES, then of the wall clock

    @classmethod
    def of(cls, timings: Timings, texts: int, total: float) -> "Work":
        """Return what one rank did."""
        seconds = (*(timings.seconds.get(stage, 0.0) for stage in STAGES), total)
        return cls(texts, timings.texts, timings.empty_texts, timings.tokens, timings.padded_tokens, seconds)

    def over(self, group: Group) -> "Work":
        """Return what all ranks did: counts added up, seconds of the slowest. The same on every rank."""
        if group.world_size == 1:
            return self
        import torch

        counts = torch.tensor([[self.texts, self.encoded, self.empty, self.tokens, self.padded_tokens]])
        seconds = torch.tensor([self.seconds], dtype=torch.float64)
        added = torch.cat(group.gather_all(counts)).sum(dim=0).tolist()
        slowest = torch.cat(group.gather_all(seconds)).amax(dim=0).tolist()
        texts, encoded, empty, tokens, padded_tokens = added
        return Work(texts, encoded, empty, tokens, padded_tokens, tuple(slowest))

    def row(self) -> dict[str, Any]:
        """Return what an ENC line says. Rates are of what was computed; where the cache held all, there are none."""
        *stages, total = self.seconds
        fresh = self.encoded > 0
        return {
            "texts": self.texts,
            "empty": self.empty,
            "cached": self.texts - self.encoded,
            "tokens": self.tokens,
            "padding_share": round(1 - self.tokens / self.padded_tokens, 6) if fresh else None,
            "seconds": {
                **({stage: round(spent, 6) for stage, spent in zip(STAGES, stages, strict=True)} if fresh else {}),
                "total": round(total, 6),
            },
            "texts_per_second": round(self.encoded / total, 3) if fresh else None,
            "tokens_per_second": round(self.tokens / total, 3) if fresh else None,
        }
