"""How a program ends when it is asked to: by Ctrl-C, by a scheduler (SIGTERM), by a terminal that closes (SIGHUP).

What is asked for becomes an exception in the main thread, so that files are left whole. Code that is not Python, or
that loses exceptions, would never come to it: so a thread, which sleeps until then, ends the process seconds later.
"""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from fmbench import children, leftovers
from fmbench.main_thread import MainThread

ASKS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 2.5  # seconds that the main thread has, without those in which it can do nothing
STEP = 0.05  # seconds: time is given in steps, since a process that was stopped has not had what a clock counts
BY_SIGNAL = 128  # and the signal's number: the exit code


class Terminated(KeyboardInterrupt):
    """The process is asked to end, by the signal `number`: what was measured is kept."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code of a program that was asked to end: 130, 143 or 129."""
    return BY_SIGNAL + (error.number if isinstance(error, Terminated) else signal.SIGINT)


class Frame:
    """Around a whole program, in the main thread. The first signal counts; the others change nothing."""

    def __init__(self) -> None:
        self._asked = False
        self._steps = 0  # contexts of `in_one` around what the main thread is at
        self._late: int | None = None  # the signal that came in one of them
        self._step = self._until = 0.0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # What is ignored stays so: nohup ignores SIGHUP, a shell's background job SIGINT.
        heeded = [number for number in ASKS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        self._before = {number: signal.signal(number, self._heed) for number in heeded}
        self._woke = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="fmbench-ending")
        self._thread.start()

    def close(self) -> None:
        """Put everything back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._woke)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def allow(self, seconds: float) -> None:
        """Give the main thread more time, counted from now, or from when the program is asked to end."""
        self._until = max(self._until, self._step + seconds)

    def _heed(self, number: int, _: FrameType | None) -> None:
        if self._asked:
            return
        self._asked = True
        if self._steps:
            self._late = number
        else:
            raise Terminated(number)

    @contextlib.contextmanager
    def in_one(self) -> Iterator[None]:
        """Raise Terminated behind the outermost of such contexts, in place of within."""
        self._steps += 1
        try:
            yield
        finally:
            self._steps = max(self._steps - 1, 0)  # a fork within has forgotten them
            if self._late is not None and not self._steps:
                number, self._late = self._late, None
                raise Terminated(number)

    def forget_steps(self) -> None:
        """Hold nothing back any more."""
        self._steps, self._late = 0, None

    def _watch(self) -> None:
        """Sleep until a signal comes, and end the process where the main thread does not do so in time."""
        while (byte := os.read(self._reader, 1)) and byte[0] not in ASKS:
            pass  # a signal of somebody else's
        if not byte:
            return
        self.allow(PATIENCE)
        main = MainThread.own()
        while self._step < self._until:
            if select.select([self._reader], [], [], STEP)[0] and not os.read(self._reader, 1):
                return
            self._step += main.had(STEP)
        children.kill_all()
        leftovers.remove_own()
        with contextlib.suppress(OSError):  # the terminal is gone
            os.write(2, b"interrupted; ended without waiting for what it was at\n")
        os._exit(BY_SIGNAL + byte[0])


_outermost: Frame | None = None


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated in the context when the process is asked to end; it ends within three seconds of its own.

    Inside of another such context, and in another thread than the main one, it does nothing.
    """
    global _outermost
    if _outermost is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _outermost = Frame()
    try:
        yield
    finally:
        frame, _outermost = _outermost, None
        frame.close()


def in_one() -> contextlib.AbstractContextManager[None]:
    """Return the context of steps that belong together: what is asked for within becomes an exception behind them.

    For what is done and then counted. The seconds that the main thread has run on all the same.
    """
    if _outermost is None or threading.current_thread() is not threading.main_thread():
        return contextlib.nullcontext()
    return _outermost.in_one()


def allow(seconds: float) -> None:
    """Give a program that was asked to end more time than usual."""
    if _outermost is not None:
        _outermost.allow(seconds)


def pause(seconds: float) -> None:
    """Leave the main thread so many seconds of its own, from another one."""
    main = MainThread.own()
    while seconds > 0:
        time.sleep(STEP)
        seconds -= main.had(STEP)


def _forget() -> None:
    """Keep what a forked child is told from the thread, which is its parent's, and so is what the parent is at."""
    if _outermost is not None:
        signal.set_wakeup_fd(-1)
        _outermost.forget_steps()


os.register_at_fork(after_in_child=_forget)
