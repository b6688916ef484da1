"""The types of numbers that an artifact may hold: kept bit for bit, each with the tolerance that is fair to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DType:
    """One type: torch's name, its code in a safetensors file, bytes an element, significant bits (0: an integer).

    `atol` and `rtol` are what two computations of that type may differ by: integers not at all.
    """

    name: str
    code: str
    size: int
    bits: int = 0
    atol: float = 0.0
    rtol: float = 0.0

    @property
    def floating(self) -> bool:
        """Whether it is a floating-point type."""
        return self.bits > 0


DTYPES = {
    dtype.name: dtype
    for dtype in (
        DType("float64", "F64", 8, 53, 1e-6, 1e-5),  # no tighter: what feeds it is float32 in every model here
        DType("float32", "F32", 4, 24, 1e-6, 1e-5),
        DType("float16", "F16", 2, 11, 1e-4, 1e-3),
        DType("bfloat16", "BF16", 2, 8, 1e-3, 1e-2),
        DType("int64", "I64", 8),
        DType("int32", "I32", 4),
        DType("int16", "I16", 2),
        DType("int8", "I8", 1),
        DType("uint8", "U8", 1),
        DType("bool", "BOOL", 1),
    )
}


def narrower(one: DType, other: DType) -> DType:
    """Return the floating-point type with fewer significant bits; an integer type only where both are."""
    floating = [dtype for dtype in (one, other) if dtype.floating]
    return min(floating, key=lambda dtype: dtype.bits) if floating else one
