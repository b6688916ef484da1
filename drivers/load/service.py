"""A service that is started for a run, and ends with it: `fmbench serve` in a process of its own."""

import contextlib
import shlex
from collections.abc import Iterator

from fmbench import backend, children
from fmbench.backend import Backend
from fmbench.console import note
from fmbench.errors import PlatformError, UsageError
from fmbench.serving import parse

from .arguments import LoadArguments


def words_of(serve: str) -> list[str]:
    """Return the words of --serve. Raises UsageError for quotes that do not close."""
    try:
        return shlex.split(serve)
    except ValueError as error:
        raise UsageError(f"--serve {serve}: {error}") from None


def served_words(serve: str, model: str) -> list[str]:
    """Return the words of the server that is started: those of --serve, with the model where they name none."""
    said = words_of(serve)
    named = any(word.partition("=")[0] == "--model_name" for word in said)
    return said if named else [*said, "--model_name", model]


def platform_of(arguments: LoadArguments) -> Backend:
    """Return the platform of the service that is started. Raises UsageError where none is, or it would not start."""
    if arguments.serve is None:
        raise UsageError("--url: a cell of a sweep starts its own service; name it with --serve '--platform cpu'")
    try:
        platform = backend.find(parse(served_words(arguments.serve, arguments.model_name)).platform)
    except UsageError as error:
        raise UsageError(f"--serve {arguments.serve}: {error}") from None
    platform.require()
    return platform


@contextlib.contextmanager
def service(arguments: LoadArguments) -> Iterator[str]:
    """Yield the address of the service. Raises UsageError where what is started does not come up.

    And PlatformError where it found in the end that its platform gives texts other vectors than their own.
    """
    if arguments.serve is None:
        yield arguments.url or ""
        return
    said = served_words(arguments.serve, arguments.model_name)
    words = children.python("-m", "fmbench", "serve", *said, "--port", "0")
    note(f"starts fmbench serve {shlex.join(said)}")
    with children.started(words) as process:
        address = (process.stdout.readline() if process.stdout else "").strip()
        if not address:
            process.wait()
            raise UsageError(f"--serve {arguments.serve}: the server did not come up (it says why above)")
        yield address
        with children.ended(process):
            pass
        if process.returncode == PlatformError.exit_code:
            raise PlatformError(f"--serve {arguments.serve}: its platform gives wrong vectors (it says which above)")
