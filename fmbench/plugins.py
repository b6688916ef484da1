"""Finding plug-ins by name, through entry points. Listing imports none of them."""

import contextlib
import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from fmbench import distribution
from fmbench.errors import FmbenchError, one_line


class BrokenPluginError(FmbenchError):
    """A plug-in that fails. Its text names the distribution that installed it."""


@contextlib.contextmanager
def blamed(who: str, kind: type[FmbenchError] = BrokenPluginError) -> Iterator[None]:
    """Run a stranger's code: what it raises becomes an error of a kind that names it, but for Ctrl-C and our errors."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, FmbenchError):
        raise
    except BaseException as error:  # SystemExit, a panic of Rust: a stranger's code may raise anything
        raise kind(f"{who}: {type(error).__name__}: {one_line(error)}") from error


@dataclass(frozen=True)
class Plugin:
    """One name in an entry-point group, and who installed it."""

    entry_point: importlib.metadata.EntryPoint

    @property
    def name(self) -> str:
        """The name that the command line says."""
        return self.entry_point.name

    @cached_property
    def distribution(self) -> str:
        """Name and version of the distribution that brings the plug-in."""
        found = self.entry_point.dist
        return f"{found.name} {found.version}" if found else "unknown distribution"

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"plug-in {self.name!r} of {self.distribution}"

    def load(self) -> Any:
        """Import the plug-in and return the object that its entry point names. Raises BrokenPluginError.

        What a module prints as it is imported is no result, and goes to stderr.
        """
        with blamed(f"{self.title} cannot be imported"), contextlib.redirect_stdout(sys.stderr):
            return self.entry_point.load()


def discover(group: str) -> tuple[dict[str, Plugin], list[str]]:
    """Return the plug-ins of a group by name, sorted, and a warning for each name that is taken.

    A name of our own cannot be taken over by another distribution.
    """
    plugins, warnings = discovered(group, tuple(sys.path))
    return dict(plugins), list(warnings)


@cache
def discovered(group: str, _: tuple[str, ...]) -> tuple[dict[str, Plugin], list[str]]:
    """Return what a group has while Python looks in these places: looking takes as long as many command lines."""
    found = [Plugin(entry_point) for entry_point in distribution.entry_points(group)]
    found.sort(key=lambda plugin: (plugin.name, not is_ours(plugin)))
    plugins: dict[str, Plugin] = {}
    warnings: list[str] = []
    for plugin in found:
        first = plugins.setdefault(plugin.name, plugin)
        if first.entry_point.value != plugin.entry_point.value:
            warnings.append(f"{plugin.title} is ignored: {first.distribution} has that name already")
    return plugins, warnings


def title_of(group: str, option: str, name: str) -> str:
    """Return what messages call the plug-in that an option names: `--platform acme (acme-fmbench 0.1)`, or ours."""
    plugin = discover(group)[0].get(name)
    return f"{option} {name}" if plugin is None or is_ours(plugin) else f"{option} {name} ({plugin.distribution})"


def is_ours(plugin: Plugin) -> bool:
    """Whether a plug-in is built in."""
    return plugin.entry_point.dist is not None and plugin.entry_point.dist.name == distribution.name()
