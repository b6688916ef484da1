"""Everything about an encoder that can be checked before torch is imported."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench import backend
from fmbench.backend import Backend
from fmbench.errors import UsageError
from fmbench.identity import identify
from fmbench.options import MODEL_CLASS, Arguments
from fmbench.sentence_folder import ROOT
from fmbench.source import Source, locate, named_folder, snapshot

from . import folder as folders
from . import late_folder as late_folders
from .folder import Folder
from .recipe import POOLINGS, ROLES, Recipe, Role
from .sparse import MODEL_CLASS as MASKED
from .steps import Normalise

if TYPE_CHECKING:
    from fmbench.search import Similarity


@dataclass(frozen=True)
class EncoderPlan:
    """A checked command line: the platform, where the model is, its folder, and what the command line says of it."""

    arguments: Arguments
    said: Recipe
    platform: Backend
    source: Source
    folder: Folder

    @classmethod
    def of(
        cls, arguments: Arguments, recipe: Recipe | None = None, query_side: bool = False, table: bool = False,
        late: bool = False, sparse: bool = False,
    ) -> "EncoderPlan":  # fmt: skip
        """Check a command line without importing torch. `query_side` is as `folder.read` takes it.

        `table`: whether a table of token vectors will do, which has no network; `late`: whether a late-interaction
        model, whose texts have a vector a token; `sparse`: whether one whose vectors have a number a word.
        Raises UsageError and PlatformError.
        """
        platform = backend.find(arguments.platform)
        if not platform.builds_model:
            raise UsageError(f"--platform {platform.name}: no model runs there, so there are no vectors")
        platform.check(arguments)
        path = named_folder(arguments)
        folder = late_folders.read(path) or folders.read(path, query_side)
        if folder is not None and folder.kind != folders.TRANSFORMER:
            if not (query_side or table):
                raise UsageError(
                    f"{path}: is a table of token vectors, with no network to run; `fmbench retrieve` takes it, and "
                    "`fmbench distill` as --query_model"
                )
            if not query_side:
                folders.say_prompts(folder, recipe or Recipe())
            return cls(arguments, recipe or Recipe(), platform, Source("folder", str(folder.first), {}), folder)
        name = f"{arguments.model_name}/{folder.transformer}" if folder and folder.transformer else arguments.model_name
        source = locate(dataclasses.replace(arguments, model_name=name))
        if source.kind == "catalogue":
            raise UsageError(f"{arguments.model_name}: the catalogue has no tokenizer; texts need a model's folder")
        if source.kind == "hub":
            path = snapshot(source.location, arguments)
            folder = late_folders.read(path) or folders.read(path, query_side)
        platform.check_weights(arguments, source.dtype)
        said = recipe or Recipe()
        check(said, source)
        if folder is not None and folder.late is not None:
            late_folders.check_use(said, path, late)
        if folder is None:
            folders.warn_of_plain(path, None if said.pooling else folders.assumed_pooling(source.config))
            folder = Folder(path)
        if folder.sparse is not None:
            arguments = as_masked(arguments, said, path, sparse)
        folders.say_prompts(folder, said)
        return cls(arguments, said, platform, source, folder)

    def model_facts(self) -> dict[str, Any]:
        """Return the facts of the model that are known before it is loaded. Reads its files, and imports torch."""
        found = identify(self.source, self.arguments.evaluated(), self.folder.path).facts()
        return {**found, "weights": self.arguments.weights, "model_source": self.source.kind}

    def prompt(self, role: Role) -> str:
        """Return what stands before each text of a role."""
        return self.said.over(self.folder.recipe).prompt(role) or ""

    @property
    def prompt_names(self) -> dict[str, str | None]:
        """Which of the folder's prompts each role has; None for one of the command line, and for none."""
        ours = {role: self.said.prompt(role) is None and self.folder.recipe.prompt(role) for role in ROLES}
        return {role: folders.PROMPT_NAMES[role] if text else None for role, text in ours.items()}

    @property
    def dimension(self) -> int | None:
        """How many numbers a vector has; None where the configuration does not tell."""
        size, recipe = self.source.config.get("hidden_size"), self.said.over(self.folder.recipe)
        dense = any(not isinstance(step, Normalise) for step in self.folder.steps)
        if dense or self.folder.late or self.folder.sparse or not isinstance(size, int):
            return None
        return recipe.truncate_dim or size * len(recipe.pooling or ("mean",))

    def similarity(self, said: str | None) -> "Similarity":
        """Return what vectors are compared by: what the command line says, else the folder. Raises UsageError."""
        from fmbench.search.exact import SIMILARITIES

        wanted = said or self.folder.similarity
        for known in SIMILARITIES:
            if wanted == known:
                return known
        raise UsageError(
            f"{self.folder.path / ROOT}: similarity_fn_name is {wanted}; the search knows "
            f"{' and '.join(SIMILARITIES)}: say one there, or with --similarity"
        )


def as_masked(arguments: Arguments, said: Recipe, path: Path, usable: bool) -> Arguments:
    """Return the arguments with a sparse model's class. Raises UsageError where none will do, or for a pooling."""
    if not usable:
        raise UsageError(f"{path}: is a sparse model, whose vectors have a number a word; `fmbench choose`, "
                         "`retrieve evaluate` and `retrieve search` take it")  # fmt: skip
    for name in ("pooling", "truncate_dim", "normalise"):
        if getattr(said, name) is not None:
            raise UsageError(f"{path}: is a sparse model, which says itself how vectors are made; leave the recipe out")
    known = arguments.model_class != MODEL_CLASS
    return arguments if known else dataclasses.replace(arguments, model_class=MASKED)


def check(recipe: Recipe, source: Source) -> None:
    """Raise UsageError for what no model could honour, or not this one."""
    unknown = sorted(set(recipe.pooling or ()) - set(POOLINGS))
    if unknown:
        raise UsageError(f"--pooling {','.join(unknown)}: write {', '.join(POOLINGS)}")
    check_lengths(recipe, source, source.claimed_length)


def check_lengths(recipe: Recipe, source: Source, limit: int | None) -> None:
    """Raise UsageError for a maximum length beyond a limit."""
    for role in ROLES:
        length = recipe.max_length(role)
        source.check_lengths([] if length is None else [length], limit, said=f"--{role}_max_len")
