"""Reading a sentence-transformers folder: which modules there are, and what they publish about encoding.

What sentence-transformers refuses is refused; what it assumes without a word is assumed, and said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.console import note, warn
from fmbench.errors import UsageError
from fmbench.json_file import JsonFile, read_optional, read_required
from fmbench.sentence_folder import LIBRARY, MODULES, ROOT, TRANSFORMER_CONFIGS, Module, check_inside, listed

from .recipe import POOLINGS, ROLES, Recipe, Role
from .sparse import Splade
from .steps import Step, read_dense, read_layer_norm, read_normalise

if TYPE_CHECKING:
    from .late_folder import LateInteraction

# What is asked of the transformers library beside what a folder's files say: only said, never done.
NOT_TAKEN_OVER = ("model_kwargs", "model_args", "config_kwargs", "config_args", "processing_kwargs")
TRANSFORMER_KEYS = (
    *NOT_TAKEN_OVER, "processor_kwargs", "tokenizer_args", "max_seq_length", "do_lower_case", "query_length",
    "document_length", "query_expansion", "transformer_task", "modality_config", "module_output_name", "unpad_inputs",
)  # fmt: skip
POOLING_NAMES = {"cls": "cls", "max": "max", "mean": "mean", "lasttoken": "last"}
# As older releases wrote it, in the order in which several are concatenated.
POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
POOLING_SIZES = ("embedding_dimension", "word_embedding_dimension")
# Which prompt encode_query and encode_document take. They have a prompt of this name always, an empty one where a
# folder has none, so that neither its default prompt nor `passage` or `corpus` is ever theirs.
PROMPT_NAMES: dict[Role, str] = {"query": "query", "passage": "document"}
TRANSFORMER, TABLE, RECURRENT = "Transformer", "StaticEmbedding", "RecurrentModule"  # what a folder begins with
MASKED = "MLMTransformer"  # a Transformer that does FILL_MASK, as earlier versions wrote it
FEATURES, FILL_MASK = "feature-extraction", "fill-mask"  # what a Transformer does
OUTPUTS = {FEATURES: "last_hidden_state", FILL_MASK: "logits"}
OURS = "fmbench.sentence_module.RecurrentModule"
OWN_MODULES = (OURS, "fmbench.distill.sentence_module.RecurrentModule")  # the second in folders of earlier versions


@dataclass
class Folder:
    """What a folder says. `kind` is its first module; `transformer` is where that, with its tokenizer, is below `path`.

    `similarity` is as it is written there; `prompts` are all that are published, by name; `late` is what makes a vector
    a token, and `sparse` what makes one number a word, where that is what the model is for.
    """

    path: Path
    kind: str = TRANSFORMER
    transformer: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    steps: list[Step] = field(default_factory=list)
    similarity: str = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    max_length: int | None = None
    lower_case: bool = False
    tokenizer_options: dict[str, Any] = field(default_factory=dict)
    late: "LateInteraction | None" = None
    logits: bool = False  # whether the first module hands out those of words, not hidden states
    sparse: Splade | None = None

    @property
    def first(self) -> Path:
        """The folder of the first module."""
        return self.path / self.transformer


def read(path: Path, query_side: bool = False) -> Folder | None:
    """Read a sentence-transformers folder, or return None where it is none (it has no modules.json).

    It may begin with a table of tokens, and for the `query_side` with a recurrent network; of a Router it is then the
    route of queries.

    Imports neither torch nor weights. Raises UsageError for what is missing, for what cannot be honoured (an unknown
    module, pickled weights, a path that leads out of the folder), and for a file that is damaged.
    """
    if not (path / MODULES).is_file():
        return None
    modules = listed(path)
    folder = assembled(path, route(path, modules) if query_side else modules, query_side)
    read_root(folder)
    return folder


def route(path: Path, modules: list[Module]) -> list[Module]:
    """Return the modules that a query goes through: of a Router, those of its query route. Raises UsageError."""
    if modules[0].name != "Router":
        return modules
    inside = Path(modules[0].path)
    config = read_required(path / inside / "router_config.json")
    names = config.object("structure").texts("query")
    if not names:
        raise UsageError(f"{config.path}: structure has no query")
    types = config.object("types")
    missing = next((name for name in names if not types.text(name)), None)
    if missing is not None:
        raise UsageError(f"{config.path}: types has no {missing}")
    check_inside(config.path, names)
    return [*(Module(types.values[name], str(inside / name)) for name in names), *modules[1:]]


def assembled(path: Path, modules: Sequence[Module], query_side: bool) -> Folder:
    """Read modules whose folders lie below a path: a Transformer, its Pooling, and what follows. Raises UsageError."""
    folder = Folder(path)
    for position, module in enumerate(modules):
        # A class of the folder's own code may be called Transformer too, and do something else.
        known = module.type.startswith(LIBRARY) or module.type in OWN_MODULES
        readers = FOLLOWING[folder.kind] if position else {**FIRST, **(BARE if query_side else {})}
        reader = readers.get(module.name) if known else None
        if reader is None:
            raise UsageError(
                f"{path}/{MODULES}: module {position} is a {module.type}, which is not supported here "
                f"({', '.join(sorted(readers))} of {LIBRARY.rstrip('.')})"
            )
        if position == 0:
            folder.kind, folder.transformer = module.name, module.path.removeprefix(".")
        reader(folder, path / module.path)
    if folder.kind == TRANSFORMER and folder.logits != (folder.sparse is not None):
        raise UsageError(f"{path}/{MODULES}: a masked language model and SpladePooling belong together")
    if folder.kind == TRANSFORMER and folder.recipe.pooling is None:
        raise UsageError(f"{path}/{MODULES}: no Pooling module says how tokens become a text's vector")
    return folder


def add_transformer(folder: Folder, path: Path) -> None:
    """Take over what a Transformer module says, where it makes nothing but tokens to be pooled."""
    config = transformer_config(path)
    if config.object("query_expansion").values:
        raise UsageError(f"{path}: query_expansion is of late interaction; only a MultiVectorEncoder has use for it")
    take_transformer(folder, config)


def transformer_config(path: Path) -> JsonFile:
    """Return the settings of a Transformer module; none where it has no file, which is said."""
    config = next((found for found in (read_optional(path / name) for name in TRANSFORMER_CONFIGS) if found.values),
                  None)  # fmt: skip
    if config is None:
        config = JsonFile(path / TRANSFORMER_CONFIGS[0], {})
        warn(f"{config.path} is missing; the maximum length is assumed to be that of tokenizer and model")
    return config


def take_transformer(folder: Folder, config: JsonFile) -> None:
    """Take over maximum lengths, lower case and what the tokenizer is to be told."""
    config.check_keys(TRANSFORMER_KEYS)
    folder.max_length = config.count("max_seq_length")
    folder.lower_case = bool(config.flag("do_lower_case"))
    options = config.object("tokenizer_args").values or config.object("processor_kwargs").values
    folder.tokenizer_options = {key: value for key, value in options.items() if key != "trust_remote_code"}
    if "model_max_length" in options:
        folder.max_length = None  # what the tokenizer is told goes before
    folder.logits = check_transformer(config, config.path.parent) == FILL_MASK
    folder.recipe = Recipe(
        query_max_length=config.count("query_length"), passage_max_length=config.count("document_length")
    )


def check_transformer(config: JsonFile, path: Path) -> str:
    """Refuse what does not read plain text, say what is not taken over, and return what the module does."""
    task = config.text("transformer_task") or FEATURES
    modalities = config.object("modality_config")
    outputs = modalities.object("text").texts("method_output_name") or [OUTPUTS.get(task, "")]
    plain = task in OUTPUTS and "message" not in modalities.values
    plain = plain and config.text("module_output_name") in (None, "token_embeddings")
    if not plain or outputs != [OUTPUTS[task]]:
        raise UsageError(f"{path}: this kind of Transformer module is not supported; only one that reads plain text")
    for name in NOT_TAKEN_OVER:
        if config.object(name).values:
            warn(f"{path}: {name} {dict(config.object(name).values)} is not taken over; say it with --model:")
    return task


def add_masked(folder: Folder, path: Path) -> None:
    """Take over what a module of earlier versions says, which is a masked language model by its name."""
    add_transformer(folder, path)
    folder.kind, folder.logits = TRANSFORMER, True


def add_splade(folder: Folder, path: Path) -> None:
    """Take over how logits become a sparse vector."""
    if folder.recipe.pooling is not None:
        raise UsageError(f"{folder.path}/{MODULES}: {path.name} is a second Pooling module, which is not supported")
    folder.sparse = Splade.read(path)
    folder.recipe = Recipe(pooling=(folder.sparse.name,), include_prompt=True).over(folder.recipe)


def add_pooling(folder: Folder, path: Path) -> None:
    """Take over how tokens are pooled, and whether a prompt's tokens are."""
    if folder.recipe.pooling is not None:
        raise UsageError(f"{folder.path}/{MODULES}: {path.name} is a second Pooling module, which is not supported")
    config = read_required(path / "config.json")
    config.check_keys((*POOLING_SIZES, "pooling_mode", "include_prompt", *POOLING_FLAGS))
    config.known_count(*POOLING_SIZES)
    names = [mode for flag, mode in POOLING_FLAGS.items() if config.flag(flag)]
    if "pooling_mode" in config.values:
        names = config.texts("pooling_mode")
        if not names:
            raise config.wrong("pooling_mode", "the name of a pooling, or a list of them")
    if not names:
        warn(f"{config.path} names no pooling; mean is assumed, as sentence-transformers does")
        names = ["mean"]
    pooling = tuple(POOLING_NAMES[name] for name in names if name in POOLING_NAMES)
    if len(pooling) != len(names):
        raise UsageError(f"{path}: pooling {', '.join(names)} is not supported (known: {', '.join(POOLINGS)})")
    prompted = config.flag("include_prompt")
    folder.recipe = Recipe(pooling=pooling, include_prompt=prompted is not False).over(folder.recipe)


def add_step(read_step: Callable[[Path], Step]) -> Callable[[Folder, Path], None]:
    """Return the reader of a module that follows the pooling."""

    def add(folder: Folder, path: Path) -> None:
        if folder.recipe.pooling is None:
            raise UsageError(f"{folder.path}/{MODULES}: {path.name} stands before the Pooling module")
        folder.steps.append(read_step(path))

    return add


def add_unit_length(folder: Folder, path: Path) -> None:
    """Take over that a vector is divided by its length. Raises UsageError."""
    read_normalise(path)
    folder.recipe = Recipe(normalise=True).over(folder.recipe)


def read_root(folder: Folder) -> None:
    """Take over what config_sentence_transformers.json says of a whole model: dimensions, similarity, prompts."""
    config = read_optional(folder.path / ROOT)
    kind = config.text("model_type")
    if kind not in (None, "SentenceTransformer" if folder.sparse is None else "SparseEncoder"):
        raise UsageError(f"{config.path}: is of a {kind}; only a SentenceTransformer makes one vector a text")
    folder.similarity = config.text("similarity_fn_name") or ("cosine" if folder.sparse is None else "dot")
    folder.recipe = Recipe(truncate_dim=config.count("truncate_dim")).over(folder.recipe)
    take_prompts(folder, config)


def take_prompts(folder: Folder, config: JsonFile) -> None:
    """Take over which texts stand before queries and passages."""
    prompts = config.object("prompts")
    folder.prompts = {name: prompts.text(name) or "" for name in prompts.values}
    folder.default_prompt = config.text("default_prompt_name")
    if folder.default_prompt not in (None, *PROMPT_NAMES.values(), *folder.prompts):
        known = ", ".join(folder.prompts)
        raise UsageError(f"{config.path}: default_prompt_name {folder.default_prompt} is none of the prompts ({known})")
    prompted = Recipe(
        query_prompt=folder.prompts.get(PROMPT_NAMES["query"], ""),
        passage_prompt=folder.prompts.get(PROMPT_NAMES["passage"], ""),
    )
    folder.recipe = prompted.over(folder.recipe)


def say_prompts(folder: Folder, said: Recipe) -> None:
    """Say which published prompt stands before the texts of each role, and which one a user may miss there."""
    for role in ROLES:
        if said.prompt(role) is not None:
            continue
        text = folder.recipe.prompt(role)
        if text:
            note(f"the prompt of a {role} is {PROMPT_NAMES[role]}, {text!r}")
            continue
        missed = [name for name in missable(folder, role) if folder.prompts.get(name)]
        if missed:
            warn(
                f"{folder.path / ROOT}: a {role} has no prompt, as with encode_{PROMPT_NAMES[role]} of "
                f"sentence-transformers, which takes {PROMPT_NAMES[role]} alone; --{role}_prompt "
                f"{folder.prompts[missed[0]]!r} takes {missed[0]}"
            )


def missable(folder: Folder, role: Role) -> list[str]:
    """Return the prompts that may have been meant for a role that has none."""
    default = folder.default_prompt
    others = [default] if default is not None and default not in PROMPT_NAMES.values() else []
    return ["passage", "corpus", *others] if role == "passage" else others


def assumed_pooling(config: Mapping[str, Any]) -> str:
    """Return how sentence-transformers pools a model of the transformers library, told from its config.json."""
    names = config.get("architectures") or [""]
    causal = names[0].endswith("ForCausalLM") and config.get("is_causal", True)
    return "last" if causal else "mean"


def warn_of_plain(path: Path, pooling: str | None) -> None:
    """Say of a folder without modules.json that its pooling is assumed (unless None), and what is not read there."""
    files = [name for name in (*TRANSFORMER_CONFIGS, ROOT) if (path / name).is_file()]
    unread = [*sorted(below.name for below in path.glob("[0-9]*_*") if below.is_dir()), *files]
    assumed = f"{pooling} pooling is assumed, as sentence-transformers does" if pooling else ""
    beside = f"{', '.join(unread)} beside it is not read: is the folder complete?" if unread else ""
    if assumed or beside:
        warn(f"{path} has no {MODULES}: {'; '.join(filter(None, (assumed, beside)))}")


# By the class's name. A further kind of module is one more line.
Reader = Callable[[Folder, Path], None]
NOTHING: Reader = lambda folder, path: None  # noqa: E731 (does nothing when nothing is trained, or has no settings)
FIRST: dict[str, Reader] = {TRANSFORMER: add_transformer, MASKED: add_masked, TABLE: NOTHING}
BARE: dict[str, Reader] = {RECURRENT: NOTHING}
AFTER_A_TRANSFORMER: dict[str, Reader] = {
    "Pooling": add_pooling,
    "SpladePooling": add_splade,
    "Dense": add_step(read_dense),
    "LayerNorm": add_step(read_layer_norm),
    "Normalize": add_step(read_normalise),
    "Dropout": NOTHING,
}
AFTER_OTHERS: dict[str, Reader] = {"Normalize": add_unit_length}
FOLLOWING = {TRANSFORMER: AFTER_A_TRANSFORMER, TABLE: AFTER_OTHERS, RECURRENT: AFTER_OTHERS}
