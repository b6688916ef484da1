"""What changes a vector, beyond the recipe: model, tokenizer, modules, platform, precision, options, libraries."""

from collections.abc import Mapping, Sequence
from typing import Any

from fmbench import facts, torch_settings
from fmbench.errors import UsageError
from fmbench.identity import WITHOUT_EFFECT
from fmbench.options import Arguments
from fmbench.secrets import apart, masked_tree

from . import tokens
from .plan import EncoderPlan
from .steps import Step

LOADED = ("weights", "configuration", "code")  # parts that the model is made of; tokens and modules come beside it
LIBRARIES = ("torch", "transformers", "tokenizers")


def identity(
    plan: EncoderPlan, arguments: Arguments, described: Mapping[str, Any], tokenizer: Any, steps: Sequence[Step]
) -> dict[str, Any]:
    """Return JSON values by name, once the model is prepared. `described` is what `fmbench.model.facts` says of it.

    The model counts by its digests, wherever it lies and whatever it is called; of its tokenizer and its modules, what
    is done for a text, so that another prompt of queries leaves passages alone. Raises UsageError where there are no
    weights to take a digest of: vectors of unknown weights must not be mistaken for others.
    """
    if described["model_digest"] is None:
        raise UsageError(f"{plan.source.location}: no weights files are found that tell this model from others")
    platform = plan.platform
    drawn = {"seed": arguments.seed} if described["weights_missing"] else {}  # what a checkpoint lacks is random
    names = dict.fromkeys((*LIBRARIES, *platform.distributions))
    return {
        **{part: described["model_parts"][part] for part in LOADED},
        **drawn,
        "model_class": described["model_class"],
        "tokenizer": tokens.digest(tokenizer),
        "modules": [step.key() for step in steps],
        "backend": platform.name,
        **({"platform": own} if (own := platform.identity()) else {}),
        "dtype": described["dtype"],
        "attention": described["attention"],
        "precision": platform.computes_in(described["dtype"].partition(",")[0]),
        "options": options(arguments),
        "torch": torch_settings.settings(),
        "variables": facts.arithmetic_variables(),
        "libraries": {name: facts.package_version(name) for name in names},
    }


def options(arguments: Arguments) -> dict[str, Any]:
    """Return what the command line asks of torch, the model and the platform, as text where it is no plain value."""
    trees = {name: dict(tree) for name, tree in arguments.options.items()}
    trees["model"] = {key: value for key, value in trees["model"].items() if key not in WITHOUT_EFFECT}
    trees["torch.call"].pop("set_grad_enabled", None)
    said = {name: masked_tree(plain(tree), apart) for name, tree in trees.items() if tree}
    return {**said, "compile": said.get("compile", {})} if arguments.compile else said


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
