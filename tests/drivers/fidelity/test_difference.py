"""Differences against the plain formulas, element by element, in numbers that do not round."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fmbench.capture.manifest import DTYPES, narrower
from fmbench.drivers.fidelity.difference import difference

FLOATS = [name for name, dtype in DTYPES.items() if dtype.floating]
INTEGERS = [name for name, dtype in DTYPES.items() if not dtype.floating]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1.0000001, 65504.0, 1e-30, -1e-40, 5e-324, math.inf, -math.inf, math.nan]
numbers = st.sampled_from(SPECIAL) | st.floats(-4, 4) | st.floats()


def name_of(tensor):
    return str(tensor.dtype).removeprefix("torch.")


def compare(a, b, rows=2, **given):
    a, b = a.contiguous(), b.contiguous()
    return difference(a.split(rows), b.split(rows), tuple(a.shape), (name_of(a), name_of(b)), **given)


def values(tensor):
    return tensor.reshape(-1).tolist()


def same(x, y):
    return x == y or (x != x and y != y)


def finite_pairs(a, b):
    return [(x, y) for x, y in zip(values(a), values(b), strict=True) if math.isfinite(x) and math.isfinite(y)]


def naive_close(a, b, atol, rtol):
    """|a - b| <= atol + rtol * |b| in exact arithmetic, NaN with NaN, and an infinity with itself."""
    exact = Fraction
    return all(
        abs(exact(x) - exact(y)) <= exact(atol) + exact(rtol) * abs(exact(y))
        if math.isfinite(x) and math.isfinite(y)
        else same(x, y)
        for x, y in zip(values(a), values(b), strict=True)
    )


def naive_cosine(a, b):
    least = 1.0
    rows = [(a, b)] if a.dim() == 1 else zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True)
    for left, right in rows:
        pairs = finite_pairs(left, right)
        ab, aa, bb = (
            math.fsum(p) for p in ([x * y for x, y in pairs], [x * x for x, _ in pairs], [y * y for _, y in pairs])
        )
        least = min(least, ab / math.sqrt(aa) / math.sqrt(bb) if aa and bb else float(aa == bb))
    return least


@st.composite
def pairs(draw, dtypes=FLOATS, elements=numbers):
    """Two tensors of one shape, alike in most places."""
    shape = draw(st.sampled_from([(5,), (1, 4), (5, 3), (3, 2, 2)]))
    count = math.prod(shape)
    left = draw(st.lists(elements, min_size=count, max_size=count))
    right = [draw(elements) if draw(st.integers(0, 3)) == 0 else x for x in left]
    one = getattr(torch, draw(st.sampled_from(dtypes)))
    other = getattr(torch, draw(st.sampled_from(dtypes))) if draw(st.integers(0, 3)) == 0 else one
    as_tensor = [torch.tensor(side, dtype=torch.float64).reshape(shape) for side in (left, right)]
    return as_tensor[0].to(one), as_tensor[1].to(other)


@settings(max_examples=300)
@given(pair=pairs())
def test_floating_types_against_the_formulas(pair):
    a, b = pair
    found = compare(a, b)
    finite = finite_pairs(a, b)
    gaps = [abs(x - y) for x, y in finite]
    bitwise = a.dtype == b.dtype and a.view(torch.uint8).tolist() == b.view(torch.uint8).tolist()
    fair = narrower(DTYPES[name_of(a)], DTYPES[name_of(b)])
    assert found.equal == bitwise
    assert found.close == (bitwise or naive_close(a, b, fair.atol, fair.rtol))
    assert found.share_equal == np.mean([same(x, y) for x, y in zip(values(a), values(b), strict=True)])
    assert found.nan == tuple(sum(map(math.isnan, values(side))) for side in pair)
    assert found.inf == tuple(sum(map(math.isinf, values(side))) for side in pair)
    assert found.mismatched == sum(
        not same(x, y) and not (math.isfinite(x) and math.isfinite(y))
        for x, y in zip(values(a), values(b), strict=True)
    )
    if any(gap > 1e300 for gap in gaps):
        return  # float64 whose difference, or the sum of several, is none
    assert found.max_abs == max(gaps, default=0.0)
    assert found.mean_abs == pytest.approx(math.fsum(gaps) / len(gaps) if gaps else 0.0, rel=1e-12)


@settings(max_examples=200)
@given(pair=pairs(dtypes=("float32", "bfloat16", "float16")))
def test_the_least_cosine_against_the_formula(pair):
    assert compare(*pair).min_cosine == pytest.approx(naive_cosine(*pair), abs=1e-12)


@settings(max_examples=200)
@given(pair=pairs(dtypes=INTEGERS, elements=st.integers(-300, 300).map(float)), far=st.booleans())
def test_integers_are_close_only_where_they_are_equal(pair, far):
    a, b = pair
    if far and a.dtype == torch.int64:
        a = a + 2**62
    found = compare(a, b, atol=10.0, rtol=10.0)
    left, right = values(a), values(b)
    gaps = [abs(int(x) - int(y)) for x, y in zip(left, right, strict=True)]
    assert found.equal == (a.dtype == b.dtype and left == right)
    assert found.close == (left == right)
    assert (found.max_abs, found.share_equal) == (float(max(gaps)), gaps.count(0) / len(gaps))
    assert found.mean_abs == pytest.approx(sum(gaps) / len(gaps))
    assert (found.max_ulp, found.min_cosine, found.tolerance.atol) == (None, None, 0.0)


def test_the_largest_integers_do_not_overflow():
    ends = torch.tensor([-(2**63), 2**63 - 1])
    assert compare(ends, ends.flip(0)).max_abs == 2.0**64


# Units in the last place


def ladder(dtype):
    """Every finite number of a two-byte type in order, each with its place; both zeros have one."""
    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    ordered = sorted({float(x) for x in every if torch.isfinite(x)})
    return {x: place for place, x in enumerate(ordered)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_ulp_counts_the_numbers_between(dtype):
    places = ladder(dtype)
    every = torch.tensor(list(places), dtype=dtype)
    for a, b in ((every, every.flip(0)), (every[1:], every[:-1]), (every[7:], every[:-7])):
        for chosen in range(0, len(a), 4999):
            one, other = a[chosen : chosen + 1], b[chosen : chosen + 1]
            assert compare(one, other).max_ulp == abs(places[float(one)] - places[float(other)])
    assert compare(every[1:], every[:-1], rows=5000).max_ulp == 1


@pytest.mark.parametrize(("dtype", "numpy_type"), [("float32", np.float32), ("float64", np.float64)])
@settings(max_examples=100)
@given(start=st.floats(-1, 1, width=16), steps=st.integers(0, 20), up=st.booleans())
def test_ulp_of_wider_types_counts_steps(dtype, numpy_type, start, steps, up):
    value = numpy_type(start)
    for _ in range(steps):
        value = np.nextafter(value, numpy_type(np.inf if up else -np.inf))
    a, b = (torch.tensor([float(x)], dtype=getattr(torch, dtype)) for x in (start, value))
    assert compare(a, b).max_ulp == steps


def test_ulp_across_types_is_counted_in_the_narrower_one():
    a = torch.tensor([1.0, 1.003, 3.0])
    found = compare(a, a.bfloat16())
    assert (found.max_ulp, found.verdict, found.equal) == (0, "close", False)
    assert found.dtypes == ("float32", "bfloat16") and found.tolerance.rtol == 1e-2
    assert found.max_abs == pytest.approx(abs(1.003 - 1.0), abs=1e-7)  # the wider type shows what rounding took
    assert compare(a, torch.tensor([1.0, 1.0, 3.0 + 2**-6]).bfloat16()).max_ulp == 1


def test_opposite_ends_of_float64_do_not_overflow():
    ends = torch.tensor([1.7e308, -1.7e308], dtype=torch.float64)
    assert compare(ends, ends.flip(0)).max_ulp > 2**63


# The seed's rule


@pytest.mark.parametrize(
    ("dtype", "atol", "rtol"),
    [
        ("float32", 1e-6, 1e-5), ("float64", 1e-6, 1e-5), ("bfloat16", 1e-3, 1e-2), ("float16", 1e-4, 1e-3),
        ("int64", 0, 0), ("uint8", 0, 0), ("bool", 0, 0),
    ],
)  # fmt: skip
def test_the_tolerance_goes_with_the_type(dtype, atol, rtol):
    tensor = torch.zeros(2, dtype=getattr(torch, dtype))
    found = compare(tensor, tensor).tolerance
    assert (found.atol, found.rtol) == (atol, rtol)


def test_the_tolerance_is_relative_to_b_alone():
    a, b = torch.tensor([1.0]), torch.tensor([1.5])
    assert compare(a, b, atol=0.0, rtol=0.34).verdict == "close"  # 0.5 <= 0.34 * 1.5
    assert compare(b, a, atol=0.0, rtol=0.34).verdict == "different"  # 0.5 > 0.34 * 1


@settings(max_examples=100)
@given(pair=pairs(dtypes=["float32"]), atol=st.sampled_from([0, 1e-3, 1.0]), rtol=st.sampled_from([0, 1e-2, 0.5]))
def test_a_tolerance_that_is_given_agrees_with_numpy(pair, atol, rtol):
    a, b = (side.double().numpy() for side in pair)
    assert compare(*pair, atol=atol, rtol=rtol).close == np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True)


# Values that are no numbers


def test_nan_is_equal_in_the_same_places_only():
    a = torch.tensor([[1.0, math.nan], [math.inf, 2.0]])
    assert (compare(a, a.clone()).verdict, compare(a, a.clone()).nan, compare(a, a.clone()).inf) == (
        "equal", (1, 1), (1, 1),
    )  # fmt: skip
    moved = torch.tensor([[math.nan, 1.0], [math.inf, 2.0]])
    found = compare(a, moved)
    assert (found.verdict, found.nan, found.mismatched, found.share_equal) == ("different", (1, 1), 2, 0.5)
    assert (found.max_abs, found.first_row) == (0.0, 0)
    signs = compare(a, torch.tensor([[1.0, math.nan], [-math.inf, 2.0]]))
    assert (signs.verdict, signs.mismatched, signs.first_row) == ("different", 1, 1)


def test_minus_zero_has_the_same_value_and_other_bits():
    found = compare(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert (found.verdict, found.share_equal, found.max_ulp, found.max_abs) == ("close", 1.0, 0, 0.0)


def test_rows_of_zeros():
    zeros, ones = torch.zeros(3, 2), torch.ones(3, 2)
    assert compare(zeros, -zeros).min_cosine == 1.0
    assert compare(zeros, ones).min_cosine == 0.0
    assert compare(torch.zeros(3), torch.ones(3)).min_cosine == 0.0
    assert compare(ones, -ones).min_cosine == pytest.approx(-1.0)


def test_nothing_is_equal_to_nothing():
    empty = torch.zeros(0, 3)
    found = difference([], [], (0, 3), ("float32", "float32"))
    assert (found.verdict, found.share_equal, found.mean_abs, found.min_cosine) == ("equal", 1.0, 0.0, 1.0)
    assert compare(empty[:, :0], empty[:, :0]).verdict == "equal"


@settings(max_examples=50)
@given(pair=pairs(dtypes=("float32", "bfloat16", "float16")), rows=st.integers(1, 6))
def test_the_size_of_the_blocks_changes_nothing(pair, rows):
    one, other = compare(*pair, rows=100), compare(*pair, rows=rows)
    exact = ("verdict", "share_equal", "max_ulp", "nan", "inf", "mismatched", "first_row")
    assert [getattr(one, name) for name in exact] == [getattr(other, name) for name in exact]
    assert other.min_cosine == pytest.approx(one.min_cosine, abs=1e-12)


def test_a_cosine_that_overflows_is_unknown():
    huge = torch.full((2, 2), 1e200, dtype=torch.float64)
    assert compare(huge, huge * 2).min_cosine is None
    assert compare(huge[0], huge[0] * 2).min_cosine is None


def test_the_narrower_type_has_fewer_significant_bits():
    assert narrower(DTYPES["float32"], DTYPES["bfloat16"]).name == "bfloat16"
    assert narrower(DTYPES["bfloat16"], DTYPES["float16"]).name == "bfloat16"
    assert narrower(DTYPES["int64"], DTYPES["float64"]).name == "float64"
    assert not narrower(DTYPES["int64"], DTYPES["uint8"]).floating
