"""The compiler: how often torch.compile's machinery ran and for how long, what it is told, and which graph computes."""

import re
from typing import TYPE_CHECKING, Any

from fmbench.clock import Clock

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
