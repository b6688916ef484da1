"""One spelling of a type of numbers, that of torch: platforms and compilers have names of their own."""

from collections.abc import Mapping
from typing import Any

SPELLINGS = {
    "bf16": "bfloat16",
    "f16": "float16",
    "fp16": "float16",
    "half": "float16",
    "f32": "float32",
    "fp32": "float32",
    "float": "float32",
    "f64": "float64",
    "fp64": "float64",
    "double": "float64",
    "i8": "int8",
    "u8": "uint8",
}


def of_weights(facts: Mapping[str, Any]) -> str:
    """Return what a model's weights are multiplied in as far as the model decides, of `fmbench.model.facts`."""
    return str(facts.get("precision") or facts["dtype"].partition(",")[0])


def spelled(name: str) -> str:
    """Return the name of a type as torch has it: `bfloat16` for `bf16`. Several are separated by commas."""
    words = (word.strip().removeprefix("torch.") for word in name.split(","))
    return ",".join(SPELLINGS.get(word, word) for word in words)
