"""What encoding took, on one rank or on all of them."""

from dataclasses import dataclass
from typing import Any

from fmbench.distributed import Group
from fmbench.encoder import STAGES, Timings


@dataclass(frozen=True)
class Work:
    """Counts and seconds. `texts` counts those of the cache too, `encoded` only what was computed."""

    texts: int
    encoded: int
    empty: int
    tokens: int
    padded_tokens: int
    seconds: tuple[float, ...]  # of tokenising (beside the rest), of each of STAGES, of all else, and of these together

    @classmethod
    def of(cls, timings: Timings, texts: int, elapsed: float) -> "Work":
        """Return what one rank did in `elapsed` seconds, of which phases are no part: they belong in no rate."""
        total = max(elapsed - timings.one_off, 0.0)
        stages = [timings.seconds.get(stage, 0.0) for stage in STAGES]
        seconds = (timings.seconds.get("tokenise", 0.0), *stages, max(total - sum(stages), 0.0), total)
        return cls(texts, timings.texts, timings.empty_texts, timings.tokens, timings.padded_tokens, seconds)

    def over(self, group: Group) -> "Work":
        """Return what all ranks did: counts added up, seconds of the one that took longest. The same on every rank."""
        if group.world_size == 1:
            return self
        import torch

        counts = torch.tensor([[self.texts, self.encoded, self.empty, self.tokens, self.padded_tokens]])
        seconds = torch.tensor([self.seconds], dtype=torch.float64)
        texts, encoded, empty, tokens, padded_tokens = torch.cat(group.gather_all(counts)).sum(dim=0).tolist()
        every = torch.cat(group.gather_all(seconds)).tolist()
        slowest = max(every, key=lambda seconds: seconds[-1])
        return Work(texts, encoded, empty, tokens, padded_tokens, tuple(slowest))

    def row(self) -> dict[str, Any]:
        """Return what an ENC line says. Rates are of what was computed; where the cache held all, there are none."""
        fresh = self.encoded > 0
        seconds = dict(zip(("tokenise", *STAGES, "other", "total"), self.seconds, strict=True))
        total = seconds["total"]
        return {
            "texts": self.texts,
            "empty": self.empty,
            "cached": self.texts - self.encoded,
            "tokens": self.tokens,
            "padding_share": round(1 - self.tokens / self.padded_tokens, 6) if fresh else None,
            "seconds": {name: round(spent, 6) for name, spent in seconds.items() if fresh or name == "total"},
            "texts_per_second": round(self.encoded / total, 3) if fresh and total else None,
            "tokens_per_second": round(self.tokens / total, 3) if fresh and total else None,
        }
