"""A plan's model on the host: loaded, asked what padding and token types do to it, and told from all others."""

from collections.abc import Mapping, Sequence
from typing import Any

from fmbench import facts, model, positions, torch_settings
from fmbench.errors import UsageError, one_line
from fmbench.identity import WITHOUT_EFFECT
from fmbench.options import Arguments
from fmbench.precision import of_weights
from fmbench.secrets import apart, masked_tree

from . import tokens
from .plan import EncoderPlan
from .sparse import say_logits
from .steps import Step
from .tokens import load_tokenizer

TOKENS, PADDED = 8, 13  # of a short text, and of the batch it is padded in
FIRST = 5  # the ids before are special ones in many vocabularies
LEAST_COSINE, LEAST_OF_HALVES = 0.9999, 0.98  # fewer bits round other shapes in other places
LOADED = ("weights", "configuration", "code")  # parts that the model is made of; tokens and modules come beside it
LIBRARIES = ("torch", "transformers", "tokenizers")


def load(plan: EncoderPlan, arguments: Arguments, pooler: bool = True) -> tuple[Any, Any, int | None]:
    """Return a plan's tokenizer, its model on the host, and how many tokens that takes, or None for no limit.

    `arguments` are evaluated; `pooler` is as `fmbench.model.load` takes it. Raises UsageError.
    """
    tokenizer = load_tokenizer(plan.folder, plan.source.trusted)
    sparse = plan.folder.sparse is not None
    loaded = model.load(plan.source, arguments, pooler, logits=sparse)
    if sparse:
        say_logits(loaded)
    limit = positions.maximum_length(loaded)
    check_padding(loaded, tokenizer.pad_token_id or 0)
    return tokenizer, loaded, limit


def reads_types(model: Any, padding_id: int) -> bool:
    """Whether token types that are all zero change what a model makes of a text: then leaving them out is no default.

    BERT takes none for zeros. GPT-2 adds the word embedding of token 0, and XLNet attends by segments.
    """
    import torch

    words = [number for number in range(FIRST, FIRST + TOKENS + 1) if number != padding_id][:TOKENS]
    batch = {"input_ids": torch.tensor([words], device=model.device)}
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    try:
        with torch.no_grad():
            without = model(**batch).last_hidden_state
            zeros = model(**batch, token_type_ids=torch.zeros_like(batch["input_ids"])).last_hidden_state
    except Exception:  # it takes none
        return False
    return not torch.equal(without, zeros)


def check_padding(model: Any, padding_id: int) -> None:
    """Raise UsageError where a text's hidden states are others beside a longer text. The model is on the host.

    Convolutions over tokens (ConvBERT), mixing by Fourier transforms (FNet) and attention by landmarks (Nyströmformer)
    look at padding whatever the mask says: a vector would depend on the texts that happen to be in its batch. Nothing
    is said of a model whose kernels the host does not have.
    """
    import torch

    words = [number for number in range(FIRST, FIRST + PADDED + 1) if number != padding_id][:PADDED]
    ids = torch.tensor([words, words], device=model.device)
    mask = torch.ones_like(ids)
    alone = {"input_ids": ids[:1, :TOKENS].clone(), "attention_mask": mask[:1, :TOKENS].clone()}
    ids[0, TOKENS:], mask[0, TOKENS:] = padding_id, 0
    try:
        with torch.no_grad():
            own = model(**alone).last_hidden_state[0]
            beside = model(input_ids=ids, attention_mask=mask).last_hidden_state[0, :TOKENS]
    except (ValueError, TypeError) as error:  # it asks for more than token ids, such as a language or boxes
        raise UsageError(f"--model_class: {type(model).__name__} reads no plain texts: {one_line(error)}") from error
    except Exception:
        return
    if not bool(torch.isfinite(own).all() and torch.isfinite(beside).all()):
        return  # weights that are no numbers: whoever encodes a text says so
    cosine = float(torch.cosine_similarity(own.float(), beside.float(), dim=-1).min())
    rounds = own.element_size() < 4 or getattr(model, "hf_quantizer", None) is not None
    if not cosine >= (LEAST_OF_HALVES if rounds else LEAST_COSINE):
        raise UsageError(
            f"{type(model).__name__} takes padding for tokens: a text's vector would depend on the texts beside it "
            f"(cosine {cosine:.4f} between alone and padded); it cannot be encoded in batches"
        )


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
        "dtype": described["dtype"],
        "attention": described["attention"],
        "precision": platform.computes_in(of_weights(described)),
        "options": options(arguments),
        **({"platform": own} if (own := platform.identity()) else {}),
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
