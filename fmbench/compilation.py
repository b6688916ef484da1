"""The compiler: how often torch.compile's machinery ran and for how long, and how many shapes it may compile."""

from typing import Any

from fmbench.clock import Clock


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


def allow_shapes(count: int) -> None:
    """Let Dynamo compile that many more shapes of a function; beyond its limit it would run eagerly, without a word."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit += count
    torch._dynamo.config.accumulated_recompile_limit += count
