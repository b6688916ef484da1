"""What is asked of torch: before it is imported, by `torch.call:` and `torch.set:`, and of its compiler."""

import importlib
import inspect
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from fmbench import host
from fmbench.console import note, warn
from fmbench.errors import UsageError, first_line, nearest
from fmbench.measure import Clock

Options = Mapping[str, Mapping[str, Any]]

# What decides how torch computes, whoever set it: an option, an environment variable, a library.
DECIDING = (
    "get_float32_matmul_precision", "are_deterministic_algorithms_enabled", "get_default_dtype",
    "backends.mkldnn.enabled", "backends.mkldnn.deterministic", "backends.mkldnn.fp32_precision",
    "backends.cudnn.enabled", "backends.cudnn.benchmark", "backends.cudnn.deterministic",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction", "backends.mha.get_fastpath_enabled",
)  # fmt: skip


class Settings:
    """What each variant of a run asks of torch. One variant's wishes hold at a time.

    A call cannot be undone, so variants have to call the same functions; an assignment is undone by what torch had.
    """

    def __init__(self, variants: Sequence[tuple[Options, int | None]]) -> None:
        """Take the options and the thread count of each variant. Raises UsageError that names the option."""
        import torch

        self._variants = variants
        self._active: int | None = None
        self._threads = default_threads()
        if any(threads is None for _, threads in variants) and self._threads < torch.get_num_threads():
            note(f"the CPU quota of this process gives {host.cpu_quota():g} CPUs: as from --threads {self._threads}")
        calls = {name for options, _ in variants for name in options["torch.call"]}
        for name in sorted(calls):
            if any(name not in options["torch.call"] for options, _ in variants):
                raise UsageError(f"--torch.call:{name}: a call cannot be undone; give it to every variant of --vs")
        names = {name for options, _ in variants for name in options["torch.set"]}
        self._originals = {name: current(torch, name) for name in sorted(names)}
        self._differ = any(variant != variants[0] for variant in variants)

    def activate(self, index: int) -> None:
        """Make one variant's settings hold. Does nothing where they hold already."""
        if self._active == index or (self._active is not None and not self._differ):
            return
        self._active = index
        options, threads = self._variants[index]
        import torch

        torch.set_num_threads(threads or self._threads)
        for name, value in options["torch.call"].items():
            call(torch, name, value)
        for name, original in self._originals.items():
            assign(torch, name, options["torch.set"].get(name, original))


@cache
def threads_at_start() -> int:
    """Return the threads that torch had when this was first asked: set-ups one after the other change them."""
    import torch

    return torch.get_num_threads()


def default_threads() -> int:
    """Return the threads of a run whose command line names none.

    What torch chose, but no more than affinity and CPU quota have use for: torch does not look at the quota.
    OMP_NUM_THREADS is the user's word, and stands.
    """
    import torch

    chosen = torch.get_num_threads()
    return chosen if "OMP_NUM_THREADS" in os.environ else min(chosen, host.useful_threads() or chosen)


def settings() -> dict[str, Any]:
    """Return torch's settings as they really are, as JSON values by name; null for one that this version has not."""
    import torch

    found = {}
    for name in DECIDING:
        value: Any = torch
        for part in name.split("."):
            value = getattr(value, part, None)
        value = value() if callable(value) else value
        key = name.removeprefix("backends.").replace("get_", "").replace("are_", "").removesuffix("_enabled")
        found[key] = value if value is None or isinstance(value, (bool, int, str)) else str(value)
    return found


def in_force() -> dict[str, Any]:
    """Return threads, gradients and settings as they are now: what a call changes, no line says."""
    import torch

    return {"threads": torch.get_num_threads(), "gradients": torch.is_grad_enabled(), **settings()}


def current(torch: Any, name: str) -> Any:
    """Return the value of `torch.name`, which must exist."""
    holder, last = resolve(torch, name, f"--torch.set:{name}")
    return getattr(holder, last)


def resolve(root: Any, path: str, option: str) -> tuple[Any, str]:
    """Return (the object that holds the last name of a dotted path, that name), both existing."""
    holder, walked = root, "torch"
    *above, last = path.split(".")
    for name in above:
        walked += f".{name}"
        holder = member(holder, name, walked, option)
    member(holder, last, f"{walked}.{last}", option)
    return holder, last


def member(holder: Any, name: str, walked: str, option: str) -> Any:
    """Return an attribute, importing a submodule where that is what the name means."""
    try:
        return getattr(holder, name)
    except AttributeError:
        pass
    try:
        return importlib.import_module(walked)
    except ImportError:
        names = {*dir(holder), *dir(type(holder))}  # torch.backends.* keep theirs on the class
        raise UsageError(f"{option}: torch has no {walked.removeprefix('torch.')}{nearest(name, names)}") from None


def call(torch: Any, name: str, value: Any) -> None:
    """Call `torch.name`: a tuple is positional arguments, a dictionary keyword arguments, else the one argument."""
    option = f"--torch.call:{name}"
    holder, last = resolve(torch, name, option)
    function = getattr(holder, last)
    if not callable(function):
        raise UsageError(f"{option}: torch.{name} is no function; to assign it, use --torch.set:{name}@ VALUE")
    positional: tuple[Any, ...] = value if isinstance(value, tuple) else () if isinstance(value, dict) else (value,)
    try:
        function(*positional, **(value if isinstance(value, dict) else {}))
    except Exception as error:
        raise UsageError(f"{option} {value!r}: {type(error).__name__}: {first_line(error)}") from None


def assign(torch: Any, name: str, value: Any) -> None:
    """Assign `torch.name`, which must exist."""
    option = f"--torch.set:{name}"
    if isinstance(value, dict):
        raise UsageError(f"{option}: one name, joined by dots, takes one value: --torch.set:{name}.{next(iter(value))}")
    holder, last = resolve(torch, name, option)
    if callable(getattr(holder, last)):
        raise UsageError(f"{option}: torch.{name} is a function; to call it, use --torch.call:{name}@ VALUE")
    try:
        setattr(holder, last, value)
    except Exception as error:
        raise UsageError(f"{option} {value!r}: {type(error).__name__}: {first_line(error)}") from None


def check_compile(options: Mapping[str, Any]) -> None:
    """Raise UsageError for an argument, or a backend, that the installed torch.compile does not have."""
    import torch

    known = set(inspect.signature(torch.compile).parameters) - {"model"}
    for name in options:
        if name not in known:
            raise UsageError(f"--compile:{name}: no argument of torch.compile{nearest(name, known)}")
    backend = options.get("backend")
    if isinstance(backend, str):
        import torch._dynamo

        backends = torch._dynamo.list_backends(exclude_tags=())
        if backend not in backends:
            raise UsageError(f"--compile:backend {backend}: torch knows no such backend{nearest(backend, backends)}")


VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SPINS = "1000"  # what libgomp itself takes where it has more threads than processors; tests/bench/busy.py measures it


def defaults() -> tuple[str, str]:
    """Return the type and the device that torch gives a tensor of which nobody says either; imports nothing."""
    torch = sys.modules.get("torch")
    if torch is None:
        return "torch.float32", "cpu"
    return str(torch.get_default_dtype()), str(torch.get_default_device())


def fault_of_setup(before: tuple[str, str], device: Any) -> tuple[str, object] | None:
    """Return what a platform's set-up does and this one did not, and what it left instead; None where all is well."""
    torch = sys.modules.get("torch")
    if device is not None and not (torch is not None and isinstance(device, torch.device)):
        return "sets device to a torch.device, or leaves it", device
    for name, then, now in zip(("type", "device"), before, defaults(), strict=True):
        if then != now:
            return f"leaves torch's default {name} at {then}", now
    return None


def spin_briefly() -> None:
    """Let threads spin no longer than that, unless the environment says how.

    By default libgomp, which torch's wheels for Linux compute with, spins for milliseconds at the end of every parallel
    region. Where another program wants the processor, that burns the time in which the last thread would have finished.
    Warns where torch is imported already, as by a plug-in, and has read the environment.
    """
    if any(name in os.environ for name in VARIABLES):
        return
    if "torch" in sys.modules:
        warn(f"torch was imported before it is said how long its threads spin: set GOMP_SPINCOUNT={SPINS}")
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS


# What libraries say while they are imported, on every machine and to no purpose; all else reaches the user.
IMPORT_NOISE = {  # by logger: how the message begins
    "torchao": ("Failed to load ",),  # kernels of other processors and versions
    "torch.utils._pytree": ("%s is an Enum subclass and is now natively supported by torch.compile",),  # of torchao's
}


def quiet_imports() -> None:
    """Keep the messages of imports off stderr. Imports none of the libraries."""
    for name in IMPORT_NOISE:
        logging.getLogger(name).addFilter(passes)


def passes(record: logging.LogRecord) -> bool:
    """Whether a message is not one of these."""
    return not str(record.msg).startswith(IMPORT_NOISE[record.name])


if TYPE_CHECKING:
    from fmbench.options import Arguments

MOST_COMPILATIONS = 4096  # of one function
SIZES = re.compile(r"\bsize=\[([^]]*)\]")  # in a guard of Dynamo's


class CompilationWatch:
    """Counts compilations and their seconds, told by Dynamo's own callbacks. Reading it costs nothing."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._clock = Clock()
        self._start: int | None = None

    def begin(self, *_: Any) -> None:
        """Take the start of a compilation."""
        self._start = self._clock.now()

    def end(self, *_: Any) -> None:
        """Take the end of a compilation."""
        if self._start is not None:
            self.count += 1
            self.seconds += (self._clock.now() - self._start) / 1e9
            self._start = None

    def install(self) -> None:
        """Ask Dynamo to call; imports it, so only for what compiles."""
        from torch._dynamo.callback import on_compile_end, on_compile_start

        on_compile_start(self.begin)
        on_compile_end(self.end)


def never_fall_back() -> None:
    """Let Dynamo compile as often as a sweep has shapes, and let it fail where it would go on without the compiler.

    It gives up after 8 compilations of a function and then runs that eagerly: such figures would not be the compiler's.
    """
    import torch._dynamo.config as dynamo

    dynamo.recompile_limit = max(dynamo.recompile_limit, MOST_COMPILATIONS)
    dynamo.accumulated_recompile_limit = max(dynamo.accumulated_recompile_limit, MOST_COMPILATIONS)
    dynamo.fail_on_recompile_limit_hit = True


def compile_options(arguments: "Arguments") -> dict[str, Any]:
    """Return the arguments of torch.compile: where the shapes are known, each has a graph of its own.

    Left to itself, Dynamo makes a dynamic graph at the second shape, which computes all that follow: a shape's figure
    would depend on what was measured before it. Where texts decide on the shapes, that is as torch and the user say.
    """
    static = {"dynamic": False} if arguments.shapes else {}
    return {**static, **arguments.options["compile"]}


def graph_of(compiled: Any) -> str | None:
    """Return which graph computed the last call of what torch.compile made: `static` or `dynamic`.

    The entry that ran last is the first in Dynamo's cache, and its guards hold null for each size that may vary. None
    for a model that is not compiled, and where this version of torch does not show it.
    """
    forward = getattr(getattr(compiled, "_orig_mod", None), "forward", None)
    code = getattr(forward, "__code__", None)
    if code is None:
        return None
    try:
        from torch._dynamo.eval_frame import _debug_get_cache_entry_list

        entries = _debug_get_cache_entry_list(code)
        guards = [part for part in entries[0].guard_manager.code_parts if "check_tensor(" in part]
    except (ImportError, AttributeError, IndexError):
        return None
    sizes = [found[1] for found in map(SIZES.search, guards) if found]
    return None if not sizes else "dynamic" if any("None" in size for size in sizes) else "static"
