"""A service that is started for a run, and ends with it: `fmbench serve` in a process of its own."""

import contextlib
import shlex
import sys
from collections.abc import Iterator

from fmbench import children
from fmbench.console import note
from fmbench.errors import UsageError

from .arguments import LoadArguments


@contextlib.contextmanager
def service(arguments: LoadArguments) -> Iterator[str]:
    """Yield the address of the service. Raises UsageError where what is started does not come up."""
    if arguments.serve is None:
        yield arguments.url or ""
        return
    try:
        said = shlex.split(arguments.serve)
    except ValueError as error:
        raise UsageError(f"--serve {arguments.serve}: {error}") from None
    named = [] if "--model_name" in said else ["--model_name", arguments.model_name]
    words = [sys.executable, "-m", "fmbench", "serve", *said, *named, "--port", "0"]
    note(f"starts fmbench serve {shlex.join([*said, *named])}")
    with children.started(words) as process:
        address = (process.stdout.readline() if process.stdout else "").strip()
        if not address:
            process.wait()
            raise UsageError(f"--serve {arguments.serve}: the server did not come up (it says why above)")
        yield address
        with children.ended(process):
            pass
