"""What the folder of a query encoder publishes, read before torch is imported: a student, a teacher, or anybody's."""

from dataclasses import dataclass
from pathlib import Path

from fmbench.encoder.folder import Folder, assembled, assumed_pooling, read_root
from fmbench.encoder.steps import Dense, Normalise
from fmbench.errors import UsageError
from fmbench.json_file import read_required
from fmbench.sentence_folder import LIBRARY, MODULES, Module, check_inside, listed
from fmbench.source import read_config

POOLINGS = ("mean", "cls")
RECURRENT = "fmbench.distill.sentence_module.RecurrentModule"


@dataclass(frozen=True)
class QuerySide:
    """The modules that a query goes through.

    `folder` is what a transformer and its further modules publish; of other kinds it has prompts alone.
    """

    modules: tuple[Module, ...]
    folder: Folder

    @property
    def first(self) -> Path:
        """The folder of the first module."""
        return self.folder.path / self.modules[0].path

    @property
    def is_transformer(self) -> bool:
        """Whether it is a transformer, and no table or recurrent network."""
        return self.modules[0].name == "Transformer"

    @property
    def pooling(self) -> str:
        """How a transformer's tokens are pooled; where the folder has no modules.json, how that is assumed."""
        if self.folder.recipe.pooling is not None:
            return self.folder.recipe.pooling[0]
        return assumed_pooling(read_config(self.first / "config.json"))

    @property
    def dense(self) -> Dense | None:
        """The linear layer that follows the pooling, if there is one."""
        return next((step for step in self.folder.steps if isinstance(step, Dense)), None)


def read_query_side(folder: Path) -> QuerySide:
    """Read a folder; of a Router it is the query route.

    Raises UsageError for a folder that is not there or not complete, and for modules that students do not have.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    if not (folder / MODULES).is_file() and (folder / "config.json").is_file():
        return QuerySide((Module(f"{LIBRARY}models.Transformer", ""),), Folder(folder))
    if not (folder / MODULES).is_file():
        raise UsageError(f"{folder}: has no {MODULES}; name a folder of sentence-transformers")
    modules = route(folder)
    kind = modules[0].type
    if kind == RECURRENT or (kind.startswith(LIBRARY) and modules[0].name == "StaticEmbedding"):
        found = Folder(folder)
        check_followers(folder, modules)
    elif kind.startswith(LIBRARY) and modules[0].name == "Transformer":
        found = assembled(folder, modules)
    else:
        raise UsageError(f"{folder}: begins with a module {kind}, which is not known here")
    read_root(found)
    side = QuerySide(tuple(modules), found)
    check_transformer(found)
    return side


def route(folder: Path) -> list[Module]:
    """Return the modules that a query goes through."""
    modules = listed(folder)
    if modules[0].name != "Router":
        return modules
    inside = Path(modules[0].path)
    config = read_required(folder / inside / "router_config.json")
    names = config.object("structure").texts("query")
    if not names:
        raise UsageError(f"{config.path}: structure has no query")
    types = config.object("types")
    missing = next((name for name in names if not types.text(name)), None)
    if missing is not None:
        raise UsageError(f"{config.path}: types has no {missing}")
    check_inside(config.path, names)
    return [*(Module(types.values[name], str(inside / name)) for name in names), *modules[1:]]


def check_followers(folder: Path, modules: list[Module]) -> None:
    """Raise UsageError for what follows a table or a recurrent network and is more than normalising."""
    beyond = next((module.name for module in modules[1:] if module.name != "Normalize"), None)
    if beyond is not None:
        raise UsageError(f"{folder}: holds a module {beyond}, which is not known here")


def check_transformer(folder: Folder) -> None:
    """Raise UsageError for a pooling or further modules that students do not have."""
    recipe, steps = folder.recipe, folder.steps
    if recipe.pooling is not None and (len(recipe.pooling) > 1 or recipe.pooling[0] not in POOLINGS):
        raise UsageError(f"{folder.path}: pools by {'+'.join(recipe.pooling)}; mean and cls are known here")
    if recipe.include_prompt is False and recipe.query_prompt:
        raise UsageError(f"{folder.path}: a prompt that is not pooled is not known here")
    for place, step in enumerate(steps):
        if isinstance(step, Dense) and (step.activation != "Identity" or step.residual):
            raise UsageError(f"{step.folder}: is more than a linear layer, which is all that is known here")
        if isinstance(step, Dense) and place > 0:
            raise UsageError(f"{step.folder}: does not follow the pooling; one linear layer there is known here")
        if not isinstance(step, Dense | Normalise):
            raise UsageError(f"{folder.path}: holds a module {type(step).__name__}, which is not known here")
