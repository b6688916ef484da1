"""What a CPU has instructions for, as the kernel names them."""

from fmbench.console import warn
from fmbench.host import cpuinfo

# By type: the flags of /proc/cpuinfo, fastest first, with their makers' names.
INSTRUCTIONS = {
    "float32": {"avx512f": "AVX-512", "avx2": "AVX2", "sve": "SVE", "asimd": "NEON"},
    "bfloat16": {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "svebf16": "SVE BF16", "bf16": "NEON BF16"},
    "float16": {"amx_fp16": "AMX", "avx512_fp16": "AVX-512 FP16", "asimdhp": "NEON FP16"},
    "int8": {
        "amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI",
        "svei8mm": "SVE I8MM", "i8mm": "NEON I8MM", "asimddp": "NEON dot product",
    },
}  # fmt: skip


def fast_types() -> list[str]:
    """Return the types that this CPU multiplies in instructions of their own, each with the fastest of them."""
    flags = set((cpuinfo("flags") or cpuinfo("Features") or "").split())
    named = {kind: next((name for flag, name in known.items() if flag in flags), None)
             for kind, known in INSTRUCTIONS.items()}  # fmt: skip
    return [f"{kind} ({name})" for kind, name in named.items() if name is not None]


def fast(kind: str) -> str | None:
    """Return a type with the name of its instructions, where this CPU has such; `bfloat16 (AMX)`."""
    return next((named for named in fast_types() if named.startswith(f"{kind} (")), None)


def multiplies_int8() -> bool:
    """Whether this CPU has instructions that multiply 8 bits and add in 32 (sums of others may overflow)."""
    return any(name.startswith("int8 ") for name in fast_types())


def warn_of_int8(option: str) -> None:
    """Say what 8 bits are worth on a CPU without instructions for them."""
    if not multiplies_int8():
        warn(f"{option}: this CPU multiplies no 8-bit numbers in instructions of its own; it runs, and may be slow")
