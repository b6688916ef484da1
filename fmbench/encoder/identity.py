"""What changes a vector, beyond the recipe: model, tokenizer, modules, platform, precision, options, libraries."""

from collections.abc import Sequence
from typing import Any

from fmbench import facts, model
from fmbench.options import Arguments

from . import tokens
from .plan import EncoderPlan
from .steps import Step

# What from_pretrained takes and no vector shows. Secrets are among them: a key is written to a file.
WITHOUT_EFFECT = {
    "cache_dir", "force_download", "local_files_only", "low_cpu_mem_usage", "revision", "token", "use_safetensors",
    "weights_only",
}  # fmt: skip
LIBRARIES = ("torch", "transformers", "tokenizers")


def identity(
    plan: EncoderPlan, arguments: Arguments, loaded: Any, tokenizer: Any, steps: Sequence[Step]
) -> dict[str, Any]:
    """Return JSON values by name, once the model is prepared.

    The weights count by their digest, wherever they lie and whatever they are called.
    """
    dtypes = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in loaded.parameters()})
    platform = plan.platform
    names = dict.fromkeys((*LIBRARIES, *platform.distributions))
    return {
        "weights": model.digest(plan.source, arguments),
        "model_class": type(loaded).__name__,
        "tokenizer": tokens.digest(tokenizer),
        "modules": [step.key() for step in steps],
        "backend": platform.name,
        "dtype": ",".join(dtypes),
        "precision": platform.computes_in(dtypes[0]),
        "options": options(arguments),
        "libraries": {name: facts.package_version(name) for name in names},
    }


def options(arguments: Arguments) -> dict[str, Any]:
    """Return what the command line asks of torch, the model and the platform, as text where it is no plain value."""
    trees = {name: dict(tree) for name, tree in arguments.options.items()}
    trees["model"] = {key: value for key, value in trees["model"].items() if key not in WITHOUT_EFFECT}
    trees["torch.call"].pop("set_grad_enabled", None)
    said = {name: plain(tree) for name, tree in trees.items() if tree}
    return {**said, "compile": said.get("compile", {})} if arguments.compile else said


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
