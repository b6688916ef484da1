"""IBM Spyre. Two software stacks drive the card; one process uses one of them, and runs one shape."""

from typing import Any

from fmbench.backend import Backend, Forward, Memory, Model
from fmbench.console import note
from fmbench.errors import PlatformError, UsageError, nearest
from fmbench.measure import Phase
from fmbench.options import Arguments

from .device import TorchSpyre
from .sendnn import Sendnn
from .stack import STICK, Stack

STACKS: dict[str, type[Stack]] = {stack.name: stack for stack in (Sendnn, TorchSpyre)}


def choose(arguments: Arguments) -> Stack:
    """Return the stack that the command line names, else the one that is installed. Imports neither.

    Raises UsageError for an unknown name and where both are installed and none is named, PlatformError for one
    that is not installed.
    """
    named = arguments.literal("platform", "stack")
    if named is None:
        return STACKS[only_installed()]()
    if named not in STACKS:
        hint = nearest(str(named), STACKS)
        raise UsageError(f"--platform:stack {named}: unknown{hint} (the stacks are {', '.join(STACKS)})")
    stack = STACKS[named]
    if not stack.installed():
        raise PlatformError(f"--platform:stack {named}: {stack.package} is not installed ({SpyreBackend.install})")
    return stack()


def only_installed() -> str:
    """Return the name of the one stack that is installed."""
    found = [name for name, stack in STACKS.items() if stack.installed()]
    if not found:
        SpyreBackend.require()
    if len(found) > 1:
        packages = " and ".join(STACKS[name].package for name in found)
        choices = " or ".join(f"--platform:stack {name}" for name in found)
        raise UsageError(f"--platform spyre: {packages} are both installed; say which to use: {choices}")
    return found[0]


class SpyreBackend(Backend):
    """The stack that was chosen, behind the interface of every platform."""

    name = "spyre"
    summary = "IBM Spyre through torch_sendnn or torch_spyre"
    install = "start from IBM's Spyre container image; neither package is on the public index"
    synonyms = ("aiu", "ibm", "sendnn", "torch_sendnn", "torch_spyre", "npu")
    compiler = Sendnn.name
    distributions = ("torch", "torch_sendnn", "torch_spyre")
    options = ("stack",)
    resource = "spyre"
    single_shape = True
    runs_torch = False
    inference_mode = False
    length_step = STICK

    _stack: Stack

    @classmethod
    def unavailable(cls) -> str | None:
        """Return None where a stack is installed, else what is missing."""
        if any(stack.installed() for stack in STACKS.values()):
            return None
        return f"neither {' nor '.join(stack.package for stack in STACKS.values())} is installed"

    def _check(self, arguments: Arguments) -> None:
        choose(arguments).check(arguments)

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return True: the card runs what was compiled for one shape."""
        return True

    def _setup(self, arguments: Arguments) -> None:
        self._stack = choose(arguments)
        self._stack.setup(self._index)

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Say what would make the model faster or more faithful on the card, then place and compile it."""
        for line in self._stack.advice(model, arguments):
            note(f"spyre: {line}")
        return super().prepare(model, arguments)

    def _place_model(self, model: Model) -> Model:
        return self._stack.place_model(model)

    def _compile(self, model: Model, options: dict[str, Any]) -> Model:
        # Both stacks want fixed shapes; torch's own default turns a shape dynamic when it changes.
        return super()._compile(model, {"dynamic": False, **options})

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch where the stack wants it."""
        return self._stack.place(batch)

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Compile and deploy the shape, and return what each phase took."""
        return self._stack.warm_up(forward, batch)

    def synchronize(self) -> None:
        """Wait for the card."""
        self._stack.synchronize()

    def facts(self) -> dict[str, Any]:
        """Return the stack, its version, the variables it read, and `simulated` where no card computed."""
        return self._stack.facts()

    def memory(self) -> Memory | None:
        """Return the peak on the card, or None where the stack does not count."""
        return self._stack.memory()

    def reset_memory(self) -> None:
        """Start a new peak."""
        self._stack.reset_memory()
