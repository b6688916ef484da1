"""Folders of late-interaction models: ColBERT checkpoints, and what PyLate and sentence-transformers 6 save.

A text becomes a vector a token, and what its tokens are decides every score: what a folder does not say is refused.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import punctuation
from typing import TYPE_CHECKING, Any, Literal

from fmbench.digest import digest_of_files, digest_of_json
from fmbench.errors import UsageError
from fmbench.json_file import JsonFile, read_optional, read_required
from fmbench.sentence_folder import LIBRARY, MODULES, ROOT, Module, listed

from .folder import Folder, take_prompts, take_transformer, transformer_config
from .recipe import Recipe, Role
from .steps import Normalise, Step, layer, read_dense, read_normalise, read_weights, weights_file

if TYPE_CHECKING:
    from torch import nn

METADATA = "artifact.metadata"
COLBERT_CLASS = "HF_ColBERT"
MARKER_KEYS: Mapping[Role, str] = {"query": "query_token_id", "passage": "doc_token_id"}
PREFIX_KEYS: Mapping[Role, str] = {"query": "query_prefix", "passage": "document_prefix"}
TOKENS = "token_embeddings"
MAX_SIM = "maxsim"
MASK = "MultiVectorMask"
STEPS: Mapping[str, Callable[[Path, str], Step]] = {"Dense": read_dense, "Normalize": read_normalise}

Origin = Literal["colbert-ai", "PyLate", "sentence-transformers", "nothing"]


@dataclass(frozen=True)
class LateInteraction:
    """How texts become token vectors, and which of them a search compares; lengths are in the folder's recipe.

    `markers` are tokens that are put in behind a text's first one. Queries that `expand` are filled up to their maximum
    length with `fill` (None: the mask token), whose vectors count as all others do; `attend` says whether other tokens
    see it. Passages have no vector for the tokens of `skipped` words. `steps` make vectors out of hidden states.
    """

    origin: Origin
    markers: Mapping[Role, str | None]
    expand: bool
    attend: bool
    fill: str | None
    skipped: tuple[str, ...]
    steps: tuple[Step, ...]
    query_length: int | None = None  # tokens that queries are filled up to; None: their maximum length

    def head(self, hidden_size: int) -> "nn.Module":
        """Return what makes token vectors (n, dimensions) out of hidden states (n, hidden_size). Raises UsageError."""
        from .network import Head

        return Head(step.load() for step in self.steps)

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON values, the weights by their digest."""
        said = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "steps"}
        return {**said, "markers": dict(self.markers), "skipped": list(self.skipped), "head": self.head_key()}

    def head_key(self) -> str:
        """Return a digest of what makes token vectors out of hidden states."""
        return digest_of_json([step.key() for step in self.steps])

    def fill_id(self, tokenizer: Any) -> int:
        """Return the token that queries are filled up with. Raises UsageError where the tokenizer has none."""
        found = tokenizer.mask_token_id if self.fill is None else tokenizer.convert_tokens_to_ids(self.fill)
        if found is None or found == tokenizer.unk_token_id:
            raise UsageError(f"{tokenizer.name_or_path}: has no {self.fill or 'mask token'} to fill queries up with")
        return int(found)

    def skipped_ids(self, tokenizer: Any) -> list[int]:
        """Return the ids of tokens that passages have no vector for, as the library that made the folder finds them.

        colbert-ai takes the first token of a word, PyLate the token that is the word, or the unknown one where there is
        none; sentence-transformers leaves such words out.
        """
        if self.origin == "colbert-ai":
            found = {tokenizer.encode(word, add_special_tokens=False)[0] for word in self.skipped}
        else:
            found = set(tokenizer.convert_tokens_to_ids(list(self.skipped)))
        unknown = {None} if self.origin in ("colbert-ai", "PyLate") else {None, tokenizer.unk_token_id}
        return sorted(found - unknown)


@dataclass(frozen=True)
class Projection:
    """The linear layer of a ColBERT checkpoint, which lies among the model's own weights."""

    folder: Path
    size: int

    def load(self) -> "nn.Module":
        """Read the weights. Raises UsageError for a checkpoint without one, or of another size."""
        from .network import Linear

        weights = read_weights(self.folder)
        if "linear.weight" not in weights:
            raise UsageError(f"{self.folder / 'model.safetensors'}: has no linear.weight; it is no ColBERT checkpoint")
        found = layer(weights, "linear")
        if found.out_features != self.size:
            raise UsageError(f"{self.folder / METADATA}: dim is {self.size}; linear.weight has {found.out_features}")
        return Linear(found)

    def key(self) -> Any:
        """Return the kind, and a digest of the weights."""
        return ["projection", self.size, digest_of_files([weights_file(self.folder)])]


def read(path: Path) -> Folder | None:
    """Read the folder of a late-interaction model, or return None for any other.

    Imports neither torch nor weights. Raises UsageError for what it does not say and for what cannot be honoured.
    """
    root = read_optional(path / ROOT)
    kind = root.values.get("model_type")
    if (path / MODULES).is_file():
        if kind in ("MultiVectorEncoder", "ColBERT") or PREFIX_KEYS["query"] in root.values:
            return read_modules(path, root, read_multi_vector if kind == "MultiVectorEncoder" else read_pylate)
    elif (path / METADATA).is_file() or COLBERT_CLASS in read_optional(path / "config.json").texts("architectures"):
        return read_colbert(path)
    return None


def read_colbert(path: Path) -> Folder:
    """Read a checkpoint of colbert-ai. Raises UsageError."""
    said = read_required(path / METADATA)
    for key, known in (("similarity", "cosine"), ("interaction", "colbert")):
        if text_of(said, key) != known:
            raise UsageError(f"{said.path}: {key} is {said.values[key]}; only {known} is supported")
    late = LateInteraction(
        origin="colbert-ai",
        markers={role: text_of(said, key) for role, key in MARKER_KEYS.items()},
        expand=True,
        attend=flag_of(said, "attend_to_mask_tokens"),
        fill=None,
        skipped=tuple(punctuation) if flag_of(said, "mask_punctuation") else (),
        steps=(Projection(path, said.known_count("dim")), Normalise()),
    )
    lengths = Recipe(
        query_max_length=said.known_count("query_maxlen"), passage_max_length=said.known_count("doc_maxlen")
    )
    return Folder(path, recipe=lengths, similarity=MAX_SIM, late=late)


Following = Callable[[Folder, JsonFile, JsonFile, Sequence[Module]], None]


def read_modules(path: Path, root: JsonFile, read_following: Following) -> Folder:
    """Read a folder with a list of modules, which begins with a Transformer. Raises UsageError."""
    first, *following = listed(path)
    if first.name != "Transformer" or not first.type.startswith(LIBRARY):
        raise UsageError(
            f"{path / MODULES}: module 0 is a {first.type}; a late-interaction model begins with Transformer"
        )
    similarity = root.text("similarity_fn_name") or MAX_SIM
    if similarity.lower() != MAX_SIM:
        raise UsageError(f"{root.path}: similarity_fn_name is {similarity}; only {MAX_SIM} is supported")
    folder = Folder(path, transformer=first.path.removeprefix("."), similarity=MAX_SIM)
    config = transformer_config(path / first.path)
    take_transformer(folder, config)
    if folder.logits:
        raise UsageError(f"{config.path}: is a masked language model; late interaction is of hidden states")
    take_prompts(folder, root)
    read_following(folder, root, config, following)
    return folder


def read_pylate(folder: Folder, root: JsonFile, config: JsonFile, following: Sequence[Module]) -> None:
    """Take over what PyLate up to 3 says, all of it in one file but for its Dense modules. Raises UsageError."""
    modules = of_kinds(folder.path, following, ("Dense",))
    stated(root, "skiplist_words")
    folder.late = LateInteraction(
        origin="PyLate",
        markers={role: text_of(root, key) for role, key in PREFIX_KEYS.items()},
        expand=root.flag("do_query_expansion") is not False,
        attend=flag_of(root, "attend_to_expansion_tokens"),
        fill=None,
        skipped=tuple(root.texts("skiplist_words")),
        steps=(*(read_dense(folder.path / module.path, TOKENS) for module in modules), Normalise()),
    )
    folder.recipe = dataclasses.replace(
        folder.recipe,
        query_max_length=root.known_count("query_length"),
        passage_max_length=root.known_count("document_length"),
    )


def read_multi_vector(folder: Folder, root: JsonFile, config: JsonFile, following: Sequence[Module]) -> None:
    """Take over what a MultiVectorEncoder of sentence-transformers says, a file a module. Raises UsageError."""
    modules = of_kinds(folder.path, following, (*STEPS, MASK))
    masks = [read_optional(folder.path / module.path / "config.json") for module in modules if module.name == MASK]
    for mask in masks:
        if mask.texts("skiplist_tasks") not in ([], ["document"]) or mask.values.get("keep_only_token_ids"):
            raise UsageError(f"{mask.path}: only a skiplist of documents is supported")
    expansion = config.object("query_expansion")
    if expansion.values:
        if not masks:
            raise UsageError(f"{folder.path / MODULES}: queries are filled up, and no {MASK} says that this counts")
        if expansion.text("strategy") != "fixed":
            raise UsageError(f"{config.path}: query_expansion: strategy must be fixed; no other is supported")
        folder.recipe = dataclasses.replace(folder.recipe, query_max_length=expansion.known_count("length"))
    folder.late = LateInteraction(
        origin="sentence-transformers",
        markers={"query": None, "passage": None},
        expand=bool(expansion.values),
        attend=bool(expansion.flag("attend")),
        fill=expansion.text("token"),
        skipped=tuple(word for mask in masks for word in mask.texts("skiplist_words")),
        steps=tuple(STEPS[module.name](folder.path / module.path, TOKENS) for module in modules if module.name != MASK),
    )


def of_kinds(path: Path, modules: Sequence[Module], kinds: Sequence[str]) -> Sequence[Module]:
    """Return modules whose classes are all known. Raises UsageError."""
    for module in modules:
        if module.name not in kinds or not module.type.startswith((LIBRARY, "pylate.")):
            raise UsageError(f"{path / MODULES}: {module.type} is not supported here ({', '.join(kinds)})")
    return modules


def stated(config: JsonFile, key: str) -> None:
    """Raise UsageError where a file does not say what decides every vector."""
    if config.values.get(key) is None:
        raise UsageError(f"{config.path}: does not say {key}, which decides every score; write it there")


def text_of(config: JsonFile, key: str) -> str:
    """Return a text that must be there. Raises UsageError."""
    stated(config, key)
    return config.text(key) or ""


def flag_of(config: JsonFile, key: str) -> bool:
    """Return true or false, which must be there. Raises UsageError."""
    stated(config, key)
    return bool(config.flag(key))


def check_use(said: Recipe, path: Path, late: bool) -> None:
    """Raise UsageError where one vector a text is needed, or where the command line says how to make one."""
    model = f"{path} is a late-interaction model, whose texts have a vector a token"
    if not late:
        raise UsageError(f"{model}: take it to `fmbench retrieve evaluate`, `retrieve search` or `fidelity`")
    options = {"pooling": "--pooling", "normalise": "--normalize", "truncate_dim": "--truncate_dim",
               "include_prompt": "--include_prompt"}  # fmt: skip
    wrong = next((option for name, option in options.items() if getattr(said, name) is not None), None)
    if wrong:
        raise UsageError(f"{wrong}: {model}; leave it out")
