"""Finding plug-ins by name, through entry points. Listing imports none of them."""

import importlib.metadata
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from fmbench.errors import FmbenchError, first_line

OURS = "fmbench"


class BrokenPluginError(FmbenchError):
    """A plug-in that cannot be imported. Its text names the distribution that installed it."""


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

    def load(self) -> Any:
        """Import the plug-in and return the object that its entry point names. Raises BrokenPluginError."""
        try:
            return self.entry_point.load()
        except (Exception, SystemExit) as error:  # a stranger's module may do anything; it must not stop the others
            raise BrokenPluginError(
                f"plug-in {self.name!r} of {self.distribution} cannot be imported: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error


def discover(group: str) -> tuple[dict[str, Plugin], list[str]]:
    """Return the plug-ins of a group by name, sorted, and a warning for each name that is taken.

    A name of our own cannot be taken over by another distribution.
    """
    plugins, warnings = discovered(group, tuple(sys.path))
    return dict(plugins), list(warnings)


@cache
def discovered(group: str, _: tuple[str, ...]) -> tuple[dict[str, Plugin], list[str]]:
    """Return what a group has while Python looks in these places: looking takes as long as many command lines."""
    found = [Plugin(entry_point) for entry_point in importlib.metadata.entry_points(group=group)]
    found.sort(key=lambda plugin: (plugin.name, not is_ours(plugin)))
    plugins: dict[str, Plugin] = {}
    warnings: list[str] = []
    for plugin in found:
        first = plugins.setdefault(plugin.name, plugin)
        if first.entry_point.value != plugin.entry_point.value:
            warnings.append(
                f"plug-in {plugin.name!r} of {plugin.distribution} is ignored: "
                f"{first.distribution} has that name already"
            )
    return plugins, warnings


def is_ours(plugin: Plugin) -> bool:
    """Whether a plug-in is built in."""
    return plugin.entry_point.dist is not None and plugin.entry_point.dist.name == OURS
