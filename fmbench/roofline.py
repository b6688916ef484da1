"""Distance from the hardware's limit: ceilings measured on the device, and where a shape stands below them.

The model is the roofline of Williams, Waterman and Patterson (2009, Communications of the ACM 52(4)): attainable
FLOP/s = min(peak FLOP/s, peak bytes/s x FLOPs a byte).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fmbench.cost import Cost
from fmbench.measure import Clock

if TYPE_CHECKING:
    import torch

LONG_ENOUGH = 0.02  # seconds: a product below that times the launch, not the arithmetic
LARGEST = 16384
COPY_BYTES = 2**28  # beyond any cache
ROUNDS = 5


class Device(Protocol):
    """What a ceiling needs of a backend."""

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return tensors on the device."""

    def synchronize(self) -> None:
        """Wait until the device has finished."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best that a large matrix product and a large copy reached, in one dtype."""

    dtype: str
    flops_per_second: float
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A shape under the roofline. `share` is the achieved part of the attainable FLOP/s."""

    flops: int
    bytes: int
    achieved_flops_per_second: float
    attainable_flops_per_second: float
    share: float
    bound: Literal["compute", "bandwidth"]


def rounded(ceiling: Ceiling) -> dict[str, Any]:
    """Return a ceiling as JSON values, without digits that nobody knows."""
    return {
        "dtype": ceiling.dtype,
        "flops_per_second": round(ceiling.flops_per_second),
        "bytes_per_second": round(ceiling.bytes_per_second),
    }


def measure_ceiling(device: Device, dtype: str) -> Ceiling:
    """Measure both ceilings where the model runs, in its dtype, with the threads that are set."""
    import torch

    kind = getattr(torch, dtype)
    return Ceiling(dtype, product_rate(device, kind), copy_rate(device, kind))


def product_rate(device: Device, dtype: "torch.dtype") -> float:
    """Return FLOP/s of a square matrix product, its side doubled until it takes long enough."""
    import torch

    multiply = torch._int_mm if dtype == torch.int8 else torch.mm  # the latter wraps 8 bits, and is slow
    side = 512
    while True:
        matrix = device.place({"matrix": torch.ones(side, side, dtype=dtype)})["matrix"]
        seconds = best_of(lambda: multiply(matrix, matrix), device)  # noqa: B023 (called before the next round)
        if seconds >= LONG_ENOUGH or side >= LARGEST:
            return 2 * side**3 / seconds
        side *= 2


def copy_rate(device: Device, dtype: "torch.dtype") -> float:
    """Return bytes/s of a copy: each byte is read and written."""
    import torch

    count = COPY_BYTES // torch.empty(0, dtype=dtype).element_size()
    source = device.place({"source": torch.ones(count, dtype=dtype)})["source"]
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / best_of(lambda: target.copy_(source), device)


def best_of(call: Callable[[], Any], device: Device) -> float:
    """Return the seconds of the fastest of a few calls, after one that warms up: a ceiling is a best case."""
    clock, best = Clock(), float("inf")
    for attempt in range(ROUNDS + 1):
        device.synchronize()
        start = clock.now()
        call()
        device.synchronize()
        if attempt:
            best = min(best, (clock.now() - start) / 1e9)
    return best


def stand(cost: Cost, ceiling: Ceiling, seconds: float) -> Standing:
    """Return where a shape that takes `seconds` a forward pass stands."""
    slope = ceiling.bytes_per_second * cost.intensity
    attainable = min(ceiling.flops_per_second, slope)
    achieved = cost.flops / seconds
    return Standing(
        flops=cost.flops,
        bytes=cost.bytes,
        achieved_flops_per_second=achieved,
        attainable_flops_per_second=attainable,
        share=achieved / attainable if attainable else 0.0,
        bound="compute" if slope >= ceiling.flops_per_second else "bandwidth",
    )
