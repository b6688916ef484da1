"""What a platform is, and how it is found. A backend owns its device: nothing else in fmbench knows one."""

import contextlib
import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fmbench import class_attributes, placement, plugins
from fmbench.answers import AnswerError
from fmbench.command_line import Expression
from fmbench.console import warn
from fmbench.counters import NO_COUNTER, Counter, host_available, is_peak
from fmbench.counters import Memory as Memory
from fmbench.errors import FmbenchError, PlatformError, UsageError, first_line, nearest
from fmbench.facts import fault_of
from fmbench.hooks import guard
from fmbench.measure import Phase, is_phase
from fmbench.options import Arguments
from fmbench.torch_settings import compile_options, defaults, fault_of_setup, graph_of, never_fall_back

GROUP = "fmbench.backends"
UNPADDED = "unpadded"  # the --model:attn_implementation of texts that share a row; see fmbench.attention

Model = Any  # a torch.nn.Module, or what torch.compile makes of one
# Takes a placed batch, and returns the model's output where the device left it. Encoding reads its `.last_hidden_state`
# (rows, tokens, d) before the next call, which may write over it.
Forward = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set-up that is worth trying on a device: a name, what it changes as `--vs` says it, and why."""

    name: str
    overrides: str
    reason: str


class Backend(ABC):
    """One platform. Public methods check and are called by drivers; underscore methods do a platform's work.

    The order of calls is `check`, `setup`, `prepare`, then for each shape `warm_up`, `place`, `synchronize`.
    `fmbench.testing.check_backend` holds a class against all that is said here.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    install: ClassVar[str] = ""  # what makes it usable, as one line
    distributions: ClassVar[tuple[str, ...]] = ("torch",)  # what its version is made of
    options: ClassVar[tuple[str, ...]] = ()  # keys that --platform: may hold
    single_shape: ClassVar[bool] = False  # at most one (input size, batch size) a process
    builds_model: ClassVar[bool] = True  # False where the model is never called
    # True where nothing runs until an option says what: it is never picked unnamed
    needs_option: ClassVar[bool] = False
    yields: bool = False  # True where its threads give the CPU away themselves: preemptions then say nothing
    synonyms: ClassVar[tuple[str, ...]] = ()  # what else its users may call it, in small letters: for a suggestion
    compiler: ClassVar[str | None] = None  # the backend of torch.compile that belongs to this platform, if one does
    always_compiles: ClassVar[bool] = False  # True where the platform is a compiler, asked for or not
    plain: ClassVar[bool] = False  # True where torch alone computes, on the host: the same with every version of it
    runs_torch: ClassVar[bool] = True  # False where plain torch operations do not reach the device
    inference_mode: ClassVar[bool] = True  # False where torch.inference_mode is refused; gradients are then just off
    tokens_per_batch: ClassVar[int] = 1024  # of texts sorted by length: what keeps the device busy, padding included
    length_step: ClassVar[int] = 32  # where shapes are fixed, texts are padded to a multiple of this many tokens
    short_text: ClassVar[int] = 0  # up to how many tokens a text alone has a shape of its own, which a first call makes
    in_subprocess: ClassVar[bool] = True  # False where the device wants the process that was started
    numbered: ClassVar[bool] = False  # True where --device chooses one of several, and ranks take one each
    unpadded: ClassVar[bool] = False  # True where `UNPADDED` attention runs
    resource: ClassVar[str] = "cpu"  # what a cluster counts such devices by
    model: Model = None  # after `prepare`: the model as it is called
    _index: int = 0  # after `setup`: which of several devices
    _no_peak: str | None = None  # why no peak began
    device: Any = None  # after `setup`: the torch.device of the platform, or None where tensors stay on the host
    _facts: dict[str, Any] | None = None  # after they were asked for

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        guard(cls)

    @classmethod
    @abstractmethod
    def unavailable(cls) -> str | None:
        """Return None where the platform is usable, else why not. Imports no vendor library."""

    def check(self, arguments: Arguments) -> None:
        """Refuse what the platform cannot honour, before anything slow. Leaves of options may be unevaluated.

        Raises UsageError for the command line and PlatformError where the platform is not usable here.
        """
        if self.single_shape and len(arguments.shapes) > 1 and not arguments.isolate:
            given = dict(arguments.given)
            raise UsageError(
                f"--platform {self.name} runs one shape a process: give one value to --input_sizes and one to "
                f"--batch_sizes, not {given['input_sizes']} and {given['batch_sizes']}, or add --isolate"
            )
        if arguments.isolate and not self.in_subprocess:
            raise UsageError(
                f"--isolate, --repeat: --platform {self.name} needs the process that was started; leave them out"
            )
        for key in arguments.options["platform"]:
            if key not in self.options:
                known = f"its options are {', '.join(self.options)}" if self.options else "it has none"
                raise UsageError(f"--platform:{key}: no option of {self.name}{nearest(key, self.options)} ({known})")
            if isinstance(arguments.literal("platform", key), (dict, Expression)):
                raise UsageError(f"--platform:{key}: takes one plain value")
        if arguments.pin:
            placement.choose(arguments.threads)
        attention = arguments.literal("model", "attn_implementation")
        if attention != UNPADDED and (hint := nearest(str(attention), [UNPADDED])):
            raise UsageError(f"--model:attn_implementation {attention}: unknown{hint}")
        if attention == UNPADDED and not self.unpadded:
            raise UsageError(f"--model:attn_implementation {UNPADDED}: --platform {self.name} has no such kernel")
        self.require()
        self._check(arguments)

    @classmethod
    def require(cls) -> None:
        """Raise PlatformError where the platform is not usable here."""
        reason = cls.why_not()
        if reason is not None:
            install = f" (to install: {cls.install})" if cls.install else ""
            raise PlatformError(f"--platform {cls.name} is not usable here: {reason}{install}")

    @classmethod
    def why_not(cls) -> str | None:
        """Return `unavailable()`, or the error that it raised: a vendor's library may fail while it is looked for."""
        if importlib.util.find_spec("torch") is None:
            return "torch is not installed"
        try:
            with plugins.blamed("unavailable()"), contextlib.redirect_stdout(sys.stderr):
                if not ((why := cls.unavailable()) is None or (isinstance(why, str) and why)):
                    raise TypeError(f"returns None or why not, as a text; not {why!r}")
                return why
        except FmbenchError as error:
            return str(error)

    @classmethod
    def title(cls) -> str:
        """Return what messages call the platform."""
        return plugins.title_of(GROUP, "--platform", cls.name)

    @classmethod
    def blamed(cls, method: str) -> contextlib.AbstractContextManager[None]:
        """Run a method: what it raises becomes a PlatformError that names platform and method."""
        return plugins.blamed(f"{cls.title()}: {method}()", PlatformError)

    def attempt(self, method: str) -> tuple[Any, str | None]:
        """Return what a method without arguments returns, or None and why it failed: a figure is lost, and no shape."""
        try:
            with self.blamed(method):
                return getattr(self, method)(), None
        except FmbenchError as error:
            return None, str(error)

    @classmethod
    def devices(cls) -> int:
        """Return how many devices there are that each can run a model while the others do, without disturbing it."""
        return 1

    @classmethod
    def disturbances(cls) -> list[str]:
        """Return what on this machine would spoil a measurement on this platform, each with how to mend it."""
        return []

    @classmethod
    def computes_fast(cls) -> list[str]:
        """Return the types that this device has instructions for, each with their name: `int8 (AVX-512 VNNI)`."""
        return []

    def candidates(self, arguments: Arguments) -> list[Candidate]:
        """Return the set-ups that are worth trying here for a command line; none where the device has one way to run.

        Called before `setup`; leaves of options may be unevaluated.
        """
        return []

    @classmethod
    def choices(cls) -> list[str]:
        """Return what this installation of the platform has to choose from, for a list of platforms."""
        return []

    def fixed_shapes(self, arguments: Arguments) -> bool:
        """Return whether every further shape costs a compilation; leaves of options may be unevaluated.

        Texts are then padded to a few lengths and encoded in batches of one size a length.
        """
        return arguments.compile and arguments.literal("compile", "dynamic") is False

    def compiles(self, arguments: Arguments) -> bool | None:
        """Return whether the model goes through torch.compile; None where it is converted, and none of torch runs."""
        return arguments.compile or self.always_compiles

    def _check(self, arguments: Arguments) -> None:
        """Refuse what this platform in particular cannot honour."""

    def check_weights(self, arguments: Arguments, dtype: str | None) -> None:
        """Refuse weights of this type before they are loaded; None where the checkpoint alone tells."""

    def setup(self, arguments: Arguments) -> None:
        """Set the environment up and import the vendor's library. Called once, before the model is loaded."""
        if arguments.pin:
            placement.pin(arguments.threads)
        self._index = arguments.device or 0
        before = defaults()
        self._setup(arguments)
        if (fault := fault_of_setup(before, self.device)) is not None:
            raise AnswerError(self.title(), "_setup", *fault)

    def _setup(self, arguments: Arguments) -> None:
        """Do what this platform in particular needs before a model is loaded."""

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Place the model, wrap it for compilation where asked, and return the call that is timed.

        The call's output has what the model's has, `last_hidden_state` above all, which every driver of texts reads.
        """
        given, model = model, self._place_model(model)
        if model is None and given is not None:
            raise PlatformError(f"{self.title()}: _place_model() returns the model on the device, not None")
        if arguments.compile:
            model = self._compile(model, compile_options(arguments))
        self.model = model
        return lambda batch: model(**batch)

    def _place_model(self, model: Model) -> Model:
        return model

    def _compile(self, model: Model, options: dict[str, Any]) -> Model:
        import torch

        never_fall_back()
        try:
            return torch.compile(model, **options)
        except Exception as error:  # only the wrapping happens here; compiling comes with the first call
            raise UsageError(f"--compile: {type(error).__name__}: {first_line(error)}") from None

    def place(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch where the model wants it."""
        return batch

    def warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Run the named one-off phases of a shape on a placed batch, and return what each took.

        Most platforms have none: what their first call costs shows as the cold repetition.
        """
        return []

    def ask_warm_up(self, forward: Forward, batch: dict[str, Any]) -> list[Phase]:
        """Return `warm_up(forward, batch)`. Raises PlatformError for what are no phases."""
        found = self.warm_up(forward, batch)
        if not (isinstance(found, list | tuple) and all(map(is_phase, found))):
            raise AnswerError(self.title(), "warm_up", "returns a list of Phase: one word, and its seconds", found)
        return found

    def streams(self, batches: int) -> list[Forward]:
        """Return calls that run side by side, each with a share of the threads, for so many batches in bulk.

        None where one call after another keeps the device as busy. The model has run before.
        """
        return []

    def synchronize(self) -> None:
        """Wait until the device has finished. A platform whose calls return finished results has nothing to do."""

    def observe(self) -> None:
        """Look at what the last call did. Called after every call, outside of what is timed."""

    def graph(self) -> str | None:
        """Return which graph computed the last call: `static`, of that shape alone, or `dynamic`; None for none."""
        return graph_of(self.model)

    def recover(self) -> None:
        """Free what a failed shape left behind, so that the next one starts clean."""

    def facts(self) -> dict[str, Any]:
        """Return what identifies device, driver and vendor libraries, as JSON values. Callable after `setup`.

        A key `simulated` says why the figures are not those of the hardware. What fmbench says itself, such as `cpu`
        or `threads`, is refused (`fmbench.facts.OWN`).
        """
        return {}

    def ask_facts(self) -> dict[str, Any]:
        """Return `facts()`, asked once: every line of a run has the same. Raises PlatformError."""
        if self._facts is None:
            self._facts = self._asked("facts")
        return dict(self._facts)

    def ask_model_facts(self) -> dict[str, Any]:
        """Return `model_facts()` as they are now. Raises PlatformError."""
        return self._asked("model_facts")

    def _asked(self, method: str) -> dict[str, Any]:
        """Return what facts a method says. Raises PlatformError where it fails, or they are not its own to say."""
        with self.blamed(method):
            found: dict[str, Any] = getattr(self, method)()
        if (fault := fault_of(found)) is not None:
            raise PlatformError(f"{self.title()}: {method}(): {fault}")
        return found

    def identity(self) -> dict[str, Any]:
        """Return what changes a vector beyond the options as typed: defaults, digests of files that they name."""
        return {}

    def model_facts(self) -> dict[str, Any]:
        """Return what is known only once the model has run, such as the precision really used."""
        return {}

    def program(self) -> str | None:
        """Return Python lines that define `run(batch)`: arrays by name in, hidden states (n, tokens, d) out.

        And `run_all(batches, finish)`, for bulk: a list of what `finish` makes of the hidden states and the batch, of
        each batch in order, several side by side where they ran so.

        Known once the model has run. None where torch's own model is what runs, or nothing of it is kept in files.
        """
        return None

    def computes_in(self, dtype: str) -> str:
        """Return the dtype that weights of this dtype are computed in, as torch names it."""
        return dtype

    def memory(self) -> Memory | None:
        """Return the peak since the last reset, or None where the device does not count."""
        return None

    def reset_memory(self) -> None:
        """Start a new peak."""

    def start_peak(self) -> None:
        """Call `reset_memory`; where that fails, `read_peak` says so."""
        _, self._no_peak = self.attempt("reset_memory")

    def read_peak(self, model_bytes: int = 0) -> tuple[int | None, str | None]:
        """Return the bytes of `memory()`; None where nobody counts, with the reason where that failed."""
        found, fault = (None, self._no_peak) if self._no_peak else self.attempt("memory")
        if found is not None and not is_peak(found, self.builds_model, model_bytes):
            said = "memory() returns the bytes of a peak as Memory, weights among them, or None"
            return None, f"{self.title()}: {said}; not {found!r} beside {model_bytes:,} bytes of weights"
        return None if found is None else found.peak, fault

    def free_bytes(self) -> int | None:
        """Return the bytes that a further model could take where this one lives, or None where nobody knows."""
        return host_available()

    def energy(self) -> Counter:
        """Return the device's own energy counter."""
        return NO_COUNTER

    def read_energy(self) -> Counter:
        """Return `energy()`; a reading that fails is none, with the reason."""
        found, fault = self.attempt("energy")
        if isinstance(found, Counter) and (found.joules is not None or found.reason):
            return found
        fault = fault or f"{self.title()}: energy() returns a Counter with joules or a reason, not {found!r}"
        return Counter(None, None, fault)


def find(name: str) -> Backend:
    """Import one backend and return an instance.

    Raises UsageError for an unknown name and PlatformError for a plug-in that cannot be imported.
    """
    found, warnings = plugins.discover(GROUP)
    for text in warnings:
        if text.startswith(f"plug-in {name!r} "):  # `fmbench backends` shows the others
            warn(text)
    if name not in found:
        hint = nearest(name, found, synonyms=synonyms(found))
        raise UsageError(f"--platform {name}: unknown{hint} (known: {', '.join(found)})")
    try:
        with plugins.blamed(found[name].title):
            return load_class(found[name])()
    except plugins.BrokenPluginError as error:
        raise PlatformError(f"--platform {name}: {error}") from error


def synonyms(found: Mapping[str, plugins.Plugin]) -> dict[str, list[str]]:
    """Return which platforms each other name may mean. Imports the plug-ins; one that is broken has none."""
    meant: dict[str, list[str]] = {}
    for plugin in found.values():
        with contextlib.suppress(plugins.BrokenPluginError):
            for word in load_class(plugin).synonyms:
                meant.setdefault(word, []).append(plugin.name)
    return meant


def load_class(plugin: plugins.Plugin) -> type[Backend]:
    """Import one backend's class. Raises BrokenPluginError for what cannot be imported or is no backend."""
    cls, fault = plugin.load(), None
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        fault = "is no subclass of fmbench.backend.Backend"
    elif (fault := class_attributes.fault_of(cls)) is None and cls.name != plugin.name:
        fault = f"needs the name {plugin.name!r}, as its entry point says"
    if fault is not None:
        raise plugins.BrokenPluginError(f"{plugin.title} {fault}")
    return cls
