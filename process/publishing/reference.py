"""docs/reference, as far as the code says it: the arguments of commands, the fields of lines and results, platforms.

python -m fmbench.process.publishing.reference docs/reference
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from fmbench import backend, cli, plugins
from fmbench.facts import OWN
from fmbench.markdown import harmless, markdown
from fmbench.parsing import Parser
from fmbench.subcommands import Subcommands
from fmbench.whole_file import write_whole

from ..reading.fields import CORE
from ..reading.row_schema import row_schema
from ..reading.schema import Field, Schema
from ..workload import installed

PLACE = re.compile(r"(?<=<!-- )(\w+) of ([\w.]+)(?:, ([a-z ]+))?( -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEADER = "| key | value | meaning |\n|---|---|---|\n"
SUBOPTIONS = "sub-options:"  # how a command's help speaks of them


def page(text: str) -> str:
    """Return a page with what belongs between its marks. Raises KeyError for a mark that names nothing."""
    return PLACE.sub(lambda found: f"{mark(found)}{PARTS[found[1]](found[2], found[3])}", text)


def mark(found: re.Match[str]) -> str:
    """Return the rest of a mark."""
    return found[0][: found.end(4) - found.start()]


def kinds() -> Mapping[str, Schema]:
    """Return what is known of every kind of line that carries JSON."""
    return {**CORE, **{kind: one for workload in installed().values() for kind, one in workload.kinds.items()}}


def fields_of(name: str, form: str | None) -> str:
    """Return the fields of a kind of line, of an object in it (`KIND.key`), or the further ones of a form of it."""
    kind, _, key = name.partition(".")
    schema = kinds()[kind]
    below = schema.fields[key].below or schema.fields[key].each if key else None
    return table(below.fields if below is not None else schema.forms[form] if form else schema.fields)


def table(fields: Mapping[str, Field]) -> str:
    """Return fields as a table."""
    return f"{HEADER}{''.join(rows(fields))}"


def rows(fields: Mapping[str, Field]) -> Iterator[str]:
    """Yield a row a field: its key, bold where it is needed, what it holds, and what it means.

    What a line speaks of, the page says once for all of them.
    """
    for key, one in fields.items():
        if one.binding and not one.needed:
            continue
        value = f"{one.form}, {one.unit}" if one.unit else one.form
        means = one.means.replace("|", "&#124;")
        yield f"| **`{key}`** | {value} | {means} |\n" if one.needed else f"| `{key}` | {value} | {means} |\n"


def keys_of(name: str, form: str | None) -> str:
    """Return the keys of a result, and below them those of every object in it."""
    return f"{table(row_schema().fields)}{''.join(objects(row_schema(), ''))}"


def objects(schema: Schema, above: str) -> Iterator[str]:
    """Yield a table for every object in an object, under its name."""
    for key, one in schema.fields.items():
        below = one.below or one.each
        if below is not None:
            many = "" if one.below else ", each"
            further = "".join(f"\nOf {form}:\n\n{table(fields)}" for form, fields in below.forms.items() if fields)
            yield f"\n## {above}{key}{many}\n\n{table(below.fields)}{further}"
            yield from objects(below, f"{above}{key}.")


def arguments_of(name: str, form: str | None) -> str:
    """Return every command with its arguments."""
    parsers = map(parser_of, commands())
    return "\n".join(map(command, {one.prog: one for one in parsers}.values()))  # a former name has the same parser


def commands() -> Iterator[Callable[[Sequence[str]], int]]:
    """Yield what takes the command line of each of our commands, and of each command of a command."""
    for plugin in filter(plugins.is_ours, plugins.discover(cli.GROUP)[0].values()):
        run = plugin.load()
        below = getattr(run, "__self__", None)
        yield from (one.run for one in below.commands.values()) if isinstance(below, Subcommands) else [run]


def command(parser: Parser) -> str:
    """Return a command's section: what it does, and its arguments by group."""
    said = [f"## {parser.prog}", escaped(parser.description or "")]
    if SUBOPTIONS in (parser.epilog or ""):
        said.append("It takes [sub-options](suboptions.md) too.")
    for group in parser._action_groups:
        items = [item(parser, one) for one in group._group_actions if one.dest not in ("help", "version")]
        named = group.title not in ("options", "positional arguments")
        said += [
            *([f"{str(group.title).capitalize()}:"] if named and items else []),
            *(["".join(items)] if items else []),
        ]
    return "\n\n".join(text.rstrip() for text in said) + "\n"


def item(parser: Parser, action: argparse.Action) -> str:
    """Return an argument: how it is written, whether it is needed, and what it does."""
    name = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else parser._get_formatter()._format_args(action, (action.dest or "").upper())
    written = " ".join(part for part in (name, value) if part)
    needed = ", needed" if action.required and name else ""
    return f"- `{written}`{needed}: {escaped(parser._get_formatter()._expand_help(action))}\n"


def escaped(text: str) -> str:
    """Return a help text in which nothing but code is markup."""
    parts = re.split(r"(`[^`]*`)", harmless(text))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*<>\[\]_|])", r"\\\1", part) for part in parts)


def parser_of(run: Callable[[Sequence[str]], int]) -> Parser:
    """Return the parser of a command: the one whose help it prints, which is not printed."""
    found: list[Any] = []
    printing = argparse.ArgumentParser.print_help
    argparse.ArgumentParser.print_help = lambda self, file=None: found.append(self)  # type: ignore[method-assign]
    try:
        with suppress(SystemExit):
            run(["--help"])
    finally:
        argparse.ArgumentParser.print_help = printing  # type: ignore[method-assign]
    return cast(Parser, found[0])


def platforms_of(name: str, form: str | None) -> str:
    """Return our platforms: what each is, which packages its version is made of, its options, what installs it."""
    found = [plugin for plugin in plugins.discover(backend.GROUP)[0].values() if plugins.is_ours(plugin)]
    classes = {plugin.name: backend.load_class(plugin) for plugin in found}
    return markdown(
        ["platform", "what it is", "packages", "--platform: options", "what installs it"],
        [
            [name, one.summary, ", ".join(one.distributions), ", ".join(one.options), one.install]
            for name, one in classes.items()
        ],
    )


def names_of(name: str, form: str | None) -> str:
    """Return the facts that are fmbench's own."""
    return f"{', '.join(f'`{one}`' for one in sorted(OWN))}\n"


PARTS: Mapping[str, Callable[[str, str | None], str]] = {
    "fields": fields_of,
    "keys": keys_of,
    "arguments": arguments_of,
    "platforms": platforms_of,
    "names": names_of,
}

if __name__ == "__main__":
    for target in sorted(Path(sys.argv[1]).glob("*.md")):
        write_whole(target, page(target.read_text(encoding="utf-8")).encode())
