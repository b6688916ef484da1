"""How two tensors differ, computed block by block."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fmbench.capture.manifest import DTYPES, DType, narrower

if TYPE_CHECKING:
    import torch

Verdict = Literal["equal", "close", "different", "shape", "missing"]
VERDICTS: tuple[Verdict, ...] = ("equal", "close", "different", "shape", "missing")  # from good to bad

SIGNED = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}
UNSIGNED = 2.0**64


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is close: |a - b| <= atol + rtol * |b|. It is not symmetric: `b` is what `a` is held against."""

    atol: float
    rtol: float

    @classmethod
    def between(cls, a: DType, b: DType, atol: float | None = None, rtol: float | None = None) -> "Tolerance":
        """Return the tolerance that is fair to two types: that of the narrower one, unless it is given.

        Integers are close where they are equal, whatever is given.
        """
        fair = narrower(a, b)
        if not fair.floating:
            return cls(0.0, 0.0)
        return cls(fair.atol if atol is None else atol, fair.rtol if rtol is None else rtol)


@dataclass(frozen=True, slots=True)
class Difference:
    """How tensor `a` differs from tensor `b`. Figures are None where nothing can be compared.

    equal        the same type and the same bits: minus zero is not zero, and NaN has a payload
    close        within the tolerance, element by element; values that are no numbers agree
    share_equal  share of elements with the same value (zero is minus zero; NaN is NaN)
    mean_abs, max_abs  of |a - b|, over the elements that are finite on both sides
    max_ulp      units in the last place: how many numbers of their type lie between two elements, at most. Where the
                 types differ, both are rounded to the narrower one first. None for integers
    min_cosine   the least cosine of two rows (along the last dimension; a tensor of one dimension is one row), over
                 the finite elements. Two rows of zeros have 1, one of them 0. None for integers, and for float64
                 whose squares overflow
    nan, inf     elements that are NaN, or infinite, in `a` and in `b`
    mismatched   elements that are NaN or infinite on one side and something else on the other
    first_row    place along the first dimension of the first element whose bits differ
    """

    verdict: Verdict
    dtypes: tuple[str, str]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    tolerance: Tolerance
    share_equal: float | None = None
    mean_abs: float | None = None
    max_abs: float | None = None
    max_ulp: int | None = None
    min_cosine: float | None = None
    nan: tuple[int, int] = (0, 0)
    inf: tuple[int, int] = (0, 0)
    mismatched: int = 0
    first_row: int | None = None

    @property
    def equal(self) -> bool:
        """Whether both have the same type, shape and bits."""
        return self.verdict == "equal"

    @property
    def close(self) -> bool:
        """Whether they are equal or within the tolerance."""
        return self.verdict in ("equal", "close")


Blocks = Iterable["torch.Tensor"]


def difference(
    a: Blocks, b: Blocks, shape: tuple[int, ...], dtypes: tuple[str, str], *,
    atol: float | None = None, rtol: float | None = None,
) -> Difference:  # fmt: skip
    """Return how two tensors of one shape differ; both come in the same blocks of rows, in order.

    Types that differ are compared in the wider one: two floating-point types as float64, which holds all others.
    """
    types = (DTYPES[dtypes[0]], DTYPES[dtypes[1]])
    tally = Tally(shape, types, Tolerance.between(*types, atol, rtol))
    for left, right in zip(a, b, strict=True):
        tally.add(left, right)
    return tally.result()


def between(a: "torch.Tensor", b: "torch.Tensor", atol: float | None = None, rtol: float | None = None) -> Difference:
    """Return how tensor `b` differs from `a`, both whole and wherever they are."""
    one, other = (part.detach().cpu().contiguous() for part in (a, b))
    one, other = (part.reshape(1) if part.dim() == 0 else part for part in (one, other))
    dtypes = (str(one.dtype).removeprefix("torch."), str(other.dtype).removeprefix("torch."))
    if one.shape == other.shape:
        return difference(iter([one]), iter([other]), tuple(one.shape), dtypes, atol=atol, rtol=rtol)
    tolerance = Tolerance.between(DTYPES[dtypes[0]], DTYPES[dtypes[1]], atol, rtol)
    return Difference("shape", dtypes, (tuple(one.shape), tuple(other.shape)), tolerance)


@dataclass
class Tally:
    """What has been seen of two tensors so far."""

    shape: tuple[int, ...]
    types: tuple[DType, DType]
    tolerance: Tolerance
    rows: int = 0
    elements: int = 0
    same: int = 0  # by value
    beyond: int = 0  # the tolerance
    mismatched: int = 0
    finite: int = 0  # on both sides
    total: float = 0.0
    largest: float = 0.0
    ulp: int = 0
    cosine: float = 1.0
    products: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # ab, aa, bb of a single row
    nan: list[int] = field(default_factory=lambda: [0, 0])
    inf: list[int] = field(default_factory=lambda: [0, 0])
    first_row: int | None = None

    @property
    def floating(self) -> bool:
        """Whether any side is of a floating-point type."""
        return any(dtype.floating for dtype in self.types)

    def add(self, a: "torch.Tensor", b: "torch.Tensor") -> None:
        """Take one block of rows in, of both sides."""
        if not self._same_bits(a, b):
            self._add_integers(a, b) if not self.floating else self._add_numbers(a, b)
        self.rows += len(a)
        self.elements += a.numel()

    def _same_bits(self, a: "torch.Tensor", b: "torch.Tensor") -> bool:
        """Take a block in whose bits are the same on both sides; return False where they are not."""
        import torch

        if self.types[0] is not self.types[1]:
            self._mark(0)
            return False
        left, right = (bits(side) for side in (a, b))
        if not torch.equal(left, right):
            if self.first_row is None:
                self._mark(int((left != right).reshape(len(a), -1).any(1).nonzero()[0]))
            return False
        finite = a.numel()
        if self.floating:
            finite -= self._count_odd(a, a)
            if a.dim() == 1:
                squares = float(torch.nan_to_num(a.double(), 0.0, 0.0, 0.0).square().sum())
                self.products = [sum_ + squares for sum_ in self.products]
        self.finite += finite
        self.same += a.numel()
        return True

    def _mark(self, row: int) -> None:
        """Remember the first row that differs; `row` counts within the block."""
        if self.first_row is None:
            self.first_row = self.rows + row

    def _count_odd(self, a: "torch.Tensor", b: "torch.Tensor") -> int:
        """Count NaN and infinity on both sides; return how many elements are one of them on any side."""
        import torch

        if math.isfinite(
            float(a.sum(dtype=torch.float64) + b.sum(dtype=torch.float64))
        ):  # any of them would make the sum one, at a tenth of the time
            return 0
        for place, side in enumerate((a, b)):
            self.nan[place] += int(torch.isnan(side).sum())
            self.inf[place] += int(torch.isinf(side).sum())
        return int((~torch.isfinite(a) | ~torch.isfinite(b)).sum())

    def _add_integers(self, a: "torch.Tensor", b: "torch.Tensor") -> None:
        """Compare two blocks of integers, as int64."""
        gap = distance(a.long(), b.long())
        equal = int((gap == 0).sum())
        self.same += equal
        self.beyond += gap.numel() - equal
        self._add_gap(gap)

    def _add_numbers(self, a: "torch.Tensor", b: "torch.Tensor") -> None:
        """Compare two blocks of numbers, as float64."""
        import torch

        x, y = a.double(), b.double()
        hidden = None
        mismatched = odd = self._count_odd(x, y)
        if odd:
            hidden = ~(torch.isfinite(x) & torch.isfinite(y))
            mismatched -= int((hidden & ((x == y) | (torch.isnan(x) & torch.isnan(y)))).sum())
            x, y = x.masked_fill(hidden, 0.0), y.masked_fill(hidden, 0.0)
        gap = (x - y).abs_()
        self.mismatched += mismatched
        self.same += gap.numel() - int(torch.count_nonzero(gap)) - mismatched
        self.beyond += mismatched
        if float(gap.max()) > self.tolerance.atol:  # else there is none: rtol only adds to it
            allowed = y.abs().mul_(self.tolerance.rtol).add_(self.tolerance.atol)
            self.beyond += int((gap > allowed).sum())
        self._add_gap(gap, odd)
        self._add_ulp(a, b, hidden)
        self._add_cosine(x, y)

    def _add_gap(self, gap: "torch.Tensor", hidden: int = 0) -> None:
        """Take in the absolute differences of a block, of which `hidden` are zeros that stand for no number."""
        self.finite += gap.numel() - hidden
        self.total += float(gap.sum())
        self.largest = max(self.largest, float(gap.max()))

    def _add_ulp(self, a: "torch.Tensor", b: "torch.Tensor", hidden: "torch.Tensor | None") -> None:
        """Take in how many numbers lie between the elements of a block."""
        import torch

        fair = getattr(torch, narrower(*self.types).name)
        x, y = (ordered(side.to(fair)) for side in (a, b))
        gap = distance(x, y) if x.dtype == torch.int64 else (x.long() - y.long()).abs_()
        if hidden is not None:
            gap = gap.masked_fill(hidden, 0)
        self.ulp = max(self.ulp, int(gap.max()))

    def _add_cosine(self, x: "torch.Tensor", y: "torch.Tensor") -> None:
        """Take in the cosines of the rows of a block."""
        import torch

        ab, aa, bb = (torch.linalg.vecdot(*pair) for pair in ((x, y), (x, x), (y, y)))
        if x.dim() == 1:
            self.products = [done + float(more) for done, more in zip(self.products, (ab, aa, bb), strict=True)]
            return
        cosines = ab / (aa.sqrt() * bb.sqrt())
        cosines = cosines.masked_fill((aa == 0) != (bb == 0), 0.0).masked_fill((aa == 0) & (bb == 0), 1.0)
        self.cosine = float(torch.minimum(cosines.min(), cosines.new_tensor(self.cosine)))  # NaN stays

    def result(self) -> Difference:
        """Return what all blocks together say."""
        same_type = self.types[0] is self.types[1]
        verdict: Verdict = "different" if self.beyond else "close"
        if same_type and self.first_row is None:
            verdict = "equal"
        return Difference(
            verdict,
            (self.types[0].name, self.types[1].name),
            (self.shape, self.shape),
            self.tolerance,
            share_equal=self.same / self.elements if self.elements else 1.0,
            mean_abs=self.total / self.finite if self.finite else 0.0,
            max_abs=self.largest,
            max_ulp=self.ulp if self.floating else None,
            min_cosine=self._least_cosine() if self.floating else None,
            nan=(self.nan[0], self.nan[1]),
            inf=(self.inf[0], self.inf[1]),
            mismatched=self.mismatched,
            first_row=self.first_row,
        )

    def _least_cosine(self) -> float | None:
        """Return the least cosine of all rows; rounding does not make it more than 1."""
        least = self.cosine
        if len(self.shape) == 1:
            ab, aa, bb = self.products
            least = ab / (math.sqrt(aa) * math.sqrt(bb)) if aa and bb else float(aa == bb)
        return None if math.isnan(least) else min(least, 1.0)


def bits(tensor: "torch.Tensor") -> "torch.Tensor":
    """Return a tensor's bit patterns as signed integers of the same size."""
    import torch

    return tensor.view(getattr(torch, SIGNED[tensor.element_size()]))


def ordered(tensor: "torch.Tensor") -> "torch.Tensor":
    """Return an integer for each floating-point element: neighbouring numbers have neighbouring ones, both zeros 0.

    The bit pattern of a positive number, read as an integer, counts the numbers from zero on; so does that of a
    negative one without its sign bit, which becomes the integer's sign (Dawson, 2012, Comparing Floating Point
    Numbers). The integers are as wide as the elements.
    """
    import torch

    pattern = bits(tensor)
    limits = torch.iinfo(pattern.dtype)
    sign = pattern >> (limits.bits - 1)  # 0, or -1 for a negative number
    return (pattern ^ (sign & limits.max)) - sign


def distance(x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    """Return |x - y| of two int64 as float64; no difference overflows: past 2**63 it is read as unsigned."""
    import torch

    gap = torch.maximum(x, y) - torch.minimum(x, y)
    return gap.double() + (gap < 0) * UNSIGNED
