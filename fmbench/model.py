"""Loading a model: pretrained weights, or random ones in the real architecture."""

import inspect
import math
import re
import sys
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.backend import UNPADDED, Backend
from fmbench.console import note, warn
from fmbench.digest import weights_files
from fmbench.errors import UsageError, nearest, one_line
from fmbench.identity import identify
from fmbench.options import Arguments
from fmbench.remote_code import KEY, asks_for_trust, check_tokenizer, refused
from fmbench.source import DTYPE_KEYS, Source, check_indexes, snapshot
from fmbench.suggestions import DTYPES

if TYPE_CHECKING:
    import torch

# What from_pretrained takes and a configuration does not; none of it means anything for random weights.
PRETRAINED_ONLY = {
    "cache_dir", "device_map", "force_download", "local_files_only", "low_cpu_mem_usage", "quantization_config",
    "revision", "subfolder", "token", "use_safetensors", "variant", "weights_only",
}  # fmt: skip
AUTO = "auto"  # what from_pretrained calls the configuration's dtype, else the checkpoint's
NUMBER = re.compile(r"\.\d+\.")
ROUNDS_INPUTS = ("act_quant_kwargs", "input_quant_func")  # what torchao's weights have whose inputs are rounded too
DTYPE_SINCE = (4, 56)  # from here on from_pretrained says dtype; it said torch_dtype before
# Published configurations are those of training and generating. Nothing reads what these would keep beside the vectors.
ENCODING = {
    "use_cache": False, "use_mems_eval": False, "output_attentions": False, "output_hidden_states": False,
    "return_dict": True,
}  # fmt: skip


def load(source: Source, arguments: Arguments, pooler: bool = True, logits: bool = False) -> "torch.nn.Module":
    """Load the model on the CPU. The options of `arguments` are evaluated. Without its `pooler` it may lack one.

    `logits`: those of words are what is wanted of it.

    The weights have the dtype that `--model:dtype` names, else that of the configuration, else that of the checkpoint,
    as from_pretrained does it; random ones without any are float32. Of an encoder-decoder, AutoModel means the encoder.
    Caches are off unless an option asks for them. Raises UsageError for an option that the model does not know.
    """
    import torch
    import transformers

    quiet()
    model_class = import_class(arguments.model_class, source)
    options = options_of(arguments)
    dtype = take_dtype(options, source)
    torch.manual_seed(arguments.seed)
    if arguments.weights == "random":
        model = build(model_class, source, options).to(dtype or torch.float32)
    else:
        options[dtype_key(transformers.__version__)] = dtype or AUTO
        if source.kind == "hub":
            check_indexes(snapshot(source.location, arguments))
        model = load_pretrained(model_class, source, options, pooler)
    if options.get("attn_implementation") == UNPADDED:
        from fmbench.attention import check

        check(model)
    for_encoding(model, arguments.options["model"])
    say_what_was_built(model, arguments.model_class, logits)
    # from_pretrained returns a model in evaluation mode; random weights follow, so that both do the same work.
    model.eval()
    return model


def options_of(arguments: Arguments) -> dict[str, Any]:
    """Return the options of a model; an attention of ours among them is known to transformers from now on."""
    options = dict(arguments.options["model"])
    if options.get("attn_implementation") == UNPADDED:
        from fmbench.attention import register

        register()
    return options


def for_encoding(model: "torch.nn.Module", asked: Container[str]) -> None:
    """Switch off what a configuration wants kept for generation, unless it was asked for by an option."""
    for part in model.modules():
        config = getattr(part, "config", None)
        for key, value in ENCODING.items():
            if key not in asked and hasattr(config, key):
                setattr(config, key, value)


def say_what_was_built(model: Any, named: str, logits: bool) -> None:
    """Say it where that is not the whole model that the name stands for, or more than an encoder."""
    built = type(model).__name__
    if named == "AutoModel" and "Encoder" in built:
        note(f"--model_class AutoModel: {built}, the encoder alone")
    if model.get_output_embeddings() is not None and not logits:
        note(f"--model_class {named}: {built} also computes a logit for every word at every token; AutoModel does not")


def quiet() -> None:
    """Keep transformers' progress bars out of files."""
    import transformers

    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()


def import_class(name: str, source: Source) -> Any:
    """Import a model class of transformers, which takes a second or two the first time. Raises UsageError.

    For AutoModel and an encoder-decoder it is the class of the encoder, where the library has one (T5EncoderModel).
    """
    import transformers

    try:
        found = getattr(transformers, name)
    except AttributeError:
        raise UsageError(f"--model_class {name}: transformers does not export it") from None
    if name != "AutoModel":
        return found
    whole = transformers.models.auto.modeling_auto.MODEL_MAPPING_NAMES.get(source.config.get("model_type"), "")
    return getattr(transformers, f"{str(whole).removesuffix('Model')}EncoderModel", found)


def dtype_key(version: str) -> str:
    """Return what from_pretrained calls the dtype in a version of transformers."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return "dtype" if (major, minor) >= DTYPE_SINCE else "torch_dtype"


def take_dtype(options: dict[str, Any], source: Source) -> "torch.dtype | None":
    """Remove the dtype from the options and return it; without one, or for "auto", what the configuration publishes.

    None where neither names one: the checkpoint decides. Raises UsageError for what is no dtype.
    """
    import torch

    named = [options.pop(key) for key in DTYPE_KEYS if key in options]
    wanted, where = named[0] if named else AUTO, "--model:dtype"
    if wanted in (AUTO, None):
        wanted = source.dtype
        where = f"{source.location}: config.json: dtype"
    if wanted is None:
        return None
    dtype = getattr(torch, wanted.removeprefix("torch."), None) if isinstance(wanted, str) else wanted
    if not isinstance(dtype, torch.dtype):
        known = [name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)]
        hint = nearest(str(wanted), known, synonyms={word: [name] for word, name in DTYPES.items()})
        raise UsageError(f"{where} {wanted}: no dtype of torch{hint}")
    return dtype


def load_pretrained(model_class: Any, source: Source, options: dict[str, Any], pooler: bool) -> "torch.nn.Module":
    """Call from_pretrained; pickled weights only where the user asked for them. Raises UsageError.

    Without its `pooler` a model may lack it: the library would report that at length, and the rest is said here.
    """
    from transformers.utils import logging

    options = {"use_safetensors": True, **encoder_options(model_class), **options, KEY: source.trusted}
    verbosity = logging.get_verbosity()
    try:
        logging.set_verbosity(verbosity if pooler else logging.ERROR)
        loaded, report = model_class.from_pretrained(source.location, output_loading_info=True, **options)
    except Exception as error:  # a bad option, a damaged file, a class that does not fit: all the user's to mend
        if asks_for_trust(error):
            raise refused(source.location) from None
        raise UsageError(f"{source.location} cannot be loaded: {type(error).__name__}: {one_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    loaded, prefix = encoder_part(loaded, model_class)
    found = (key for key in report.get("missing_keys", ()) if key.startswith(prefix))
    missing = sorted(key for key in found if pooler or not key.removeprefix(prefix).startswith("pooler."))
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        warn(f"{len(missing)} weights are not in the checkpoint and are random now: {shown}")
    layers = left_out_layers(report.get("unexpected_keys", ()), loaded.state_dict())
    if layers:
        warn(f"{len(layers)} weights of the checkpoint are of layers that config.json does not have: {layers[0]}, ...")
    loaded.fmbench_missing_weights = len(missing)
    return loaded


def left_out_layers(unexpected: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the weights of a checkpoint that are named like the model's own but for the number of their layer."""
    numbered = {NUMBER.sub(".N.", name) for name in known if NUMBER.search(name)}
    return sorted(
        name for name in unexpected
        if NUMBER.search(name) and any(NUMBER.sub(".N.", name).endswith(own) for own in numbered)
    )  # fmt: skip


def encoder_options(model_class: Any) -> dict[str, Any]:
    """Return what an encoder's class wants its configuration to say."""
    return {"is_encoder_decoder": False} if model_class.__name__.endswith("EncoderModel") else {}


def encoder_part(model: Any, model_class: Any) -> tuple[Any, str]:
    """Return the part of a model that makes vectors, and the prefix of its weights' names in the whole.

    Where AutoModel had to build an encoder-decoder whole, such as BartModel, that is its encoder; else the model.
    """
    config = model.config
    whole = getattr(config, "is_encoder_decoder", False) or getattr(type(config), "is_encoder_decoder", False)
    if model_class.__name__ != "AutoModel" or not whole:
        return model, ""
    encoder = model.get_encoder()
    prefix = next((name for name, module in model.named_modules() if module is encoder), "")
    if not prefix or not hasattr(encoder, "config"):
        raise UsageError(f"--model_class AutoModel: {type(model).__name__} has no encoder that reads texts alone")
    return encoder, f"{prefix}."


def build(model_class: Any, source: Source, options: dict[str, Any]) -> "torch.nn.Module":
    """Build the architecture of a configuration with random weights."""
    import transformers

    options = {**encoder_options(model_class), **options}
    unusable = sorted(PRETRAINED_ONLY & options.keys())
    if unusable:
        raise UsageError(f"--model:{unusable[0]}: says nothing about random weights; leave it out")
    config_options, init_options = split_options(model_class, options)
    config = dict(source.config)
    for key in (*options, "model_type", "auto_map", *DTYPE_KEYS):
        config.pop(key, None)
    model_type = source.config.get("model_type")
    try:
        base = transformers.AutoConfig.for_model(model_type, **config)
    except Exception as error:
        raise UsageError(f"{source.location}: {one_line(error)}") from error
    check_options(config_options, base)
    try:
        built = transformers.AutoConfig.for_model(model_type, **{**config, **config_options})
        if source.kind == "folder":
            built.name_or_path = source.location  # as from_pretrained says where the tokenizer lies
        if hasattr(model_class, "from_config"):  # an Auto class
            built_model = model_class.from_config(built, **init_options, **{KEY: False})
            return encoder_part(built_model, model_class)[0]
        return model_class(built, **init_options)
    except Exception as error:  # sizes that do not go together, an attention that is not installed
        raise UsageError(f"--model: {source.location} cannot be built: {one_line(error)}") from error


def check_options(options: dict[str, Any], base: Any) -> None:
    """Raise UsageError for an option that a configuration does not have, or that is a string where a number belongs."""
    for key, value in options.items():
        if not hasattr(base, key) and key != "attn_implementation":
            raise UsageError(f"--model:{key}: no option of this configuration{nearest(key, base.to_dict())}")
        if isinstance(value, str) and isinstance(getattr(base, key, None), (int, float)):
            raise UsageError(f"--model:{key} {value}: a string where a number belongs; write --model:{key}@ {value}")


def split_options(model_class: Any, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate what the configuration takes from what the class's constructor takes (add_pooling_layer)."""
    constructor = (
        set() if hasattr(model_class, "from_config") else set(inspect.signature(model_class.__init__).parameters)
    )
    init_options = {key: value for key, value in options.items() if key in constructor - {"self", "config"}}
    return {key: value for key, value in options.items() if key not in init_options}, init_options


def weight_bytes(source: Source, arguments: Arguments) -> int:
    """Return the bytes that the model's weights will take, without loading them. The options are evaluated."""
    import torch

    options = options_of(arguments)
    dtype = take_dtype(options, source)
    if dtype is None and arguments.weights == "pretrained" and source.kind == "folder":
        return sum(path.stat().st_size for path in weights_files(Path(source.location)))
    with torch.device("meta"):
        shell = build(import_class(arguments.model_class, source), source, without_loading(options))
    return sum(parameter.numel() for parameter in shell.parameters()) * (dtype or torch.float32).itemsize


def held_bytes(model: Any) -> int:
    """Return the bytes that a model's weights take."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def lack_of_memory(source: Source, arguments: Arguments, platform: Backend, beside: str = "") -> str | None:
    """Return why a model's weights alone do not fit the free memory, or None; `beside` says what else is there.

    The options are evaluated. What is needed is rounded up, what is free down.
    """
    needed, (free, _) = weight_bytes(source, arguments), platform.attempt("free_bytes")
    if free is None or needed <= free:
        return None
    least, most = math.ceil(needed / 1e8) / 10, math.floor(free / 1e8) / 10
    return f"its weights take {least:.1f} GB{beside}, and {most:.1f} GB are free"


def without_loading(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without those that only from_pretrained takes."""
    return {key: value for key, value in options.items() if key not in PRETRAINED_ONLY}


def special_ids(source: Source) -> tuple[set[int], int]:
    """Return (special token ids, number of ids) of the tokenizer, or of the configuration where there is none."""
    size = int(source.config.get("vocab_size") or 0)
    tokenizer = load_tokenizer(source)
    if tokenizer is not None:
        return set(tokenizer.all_special_ids), min(size or len(tokenizer), len(tokenizer))
    if not size:
        raise UsageError(f"{source.location}: neither a tokenizer nor a vocab_size says which token ids there are")
    named = [value for key, value in source.config.items() if key.endswith("_token_id")]
    flat = [item for value in named for item in (value if isinstance(value, list) else [value])]
    return {item for item in flat if isinstance(item, int)}, size


def load_tokenizer(source: Source) -> Any | None:
    """Return the model's tokenizer, or None where it has none (transformers then makes up an empty one).

    Raises UsageError for one that is damaged, or code of its own.
    """
    import transformers

    if source.kind == "catalogue":
        return None
    if source.kind == "folder":
        check_tokenizer(Path(source.location), source.trusted)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source.location, trust_remote_code=source.trusted)
    except (OSError, ValueError, TypeError, ImportError) as error:
        if asks_for_trust(error):
            raise refused(source.location) from None
        return None
    except Exception as error:  # what the tokenizers library raises of a damaged file is a plain one
        raise UsageError(f"{source.location}: the tokenizer cannot be loaded ({one_line(error)})") from None
    return tokenizer if len(tokenizer) > len(tokenizer.all_special_ids) else None


def facts(
    model: Any, source: Source, arguments: Arguments, maximum_length: int | None, root: Path | None = None
) -> dict[str, Any]:
    """Return what identifies a loaded model, as JSON values.

    `maximum_length` is that of `fmbench.positions`; `root` is as `fmbench.identity.identify` takes it.
    """
    parameters = list(model.parameters())
    dtypes = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})
    return {
        "model": published_name(arguments),
        "model_class": type(model).__name__,
        "model_source": source.kind,
        "weights": arguments.weights,
        "weights_missing": getattr(model, "fmbench_missing_weights", None),
        **identify(source, arguments, root).facts(),
        "parameters": sum(parameter.numel() for parameter in parameters),
        "model_bytes": held_bytes(model),
        "dtype": ",".join(dtypes),
        **({"precision": rounded} if (rounded := rounded_to(model)) else {}),
        "attention": getattr(model.config, "_attn_implementation", None),
        "use_cache": getattr(model.config.get_text_config(), "use_cache", None),
        "maximum_length": maximum_length,
        "training": model.training,
    }


def rounded_to(model: Any) -> str | None:
    """Return the type that most weights of a model are multiplied in, where inputs are rounded to it while it runs.

    As torchao does: a weight is a tensor of tensors, the largest of which has that type. None for any other model, and
    where weights alone are rounded: those are widened again before they are multiplied.
    """
    import torch

    sizes: Counter[str | None] = Counter()
    for part in model.modules():
        if isinstance(part, torch.nn.Linear):
            weight = part.weight
            rounds = any(getattr(weight, name, None) is not None for name in ROUNDS_INPUTS)
            largest = max(numbers_of(weight), key=torch.Tensor.numel)
            sizes[str(largest.dtype).removeprefix("torch.") if rounds else None] += weight.numel()
    return max(sizes, key=lambda kind: sizes[kind], default=None)


def numbers_of(tensor: "torch.Tensor") -> "list[torch.Tensor]":
    """Return the plain tensors that a tensor consists of: itself, where it is one."""
    names = tensor.__tensor_flatten__()[0] if hasattr(tensor, "__tensor_flatten__") else ()
    return [plain for name in names for plain in numbers_of(getattr(tensor, name))] or [tensor]


def published_name(arguments: Arguments) -> str:
    """Return the model's name without the folders of this machine, unless they were to be disclosed."""
    path = Path(arguments.model_name).expanduser()
    return path.name if path.is_absolute() and not arguments.disclose else arguments.model_name
