"""A YAML file as nodes that know their lines, held against a JSON Schema. Nothing in it becomes an object of Python."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fmbench.errors import UsageError, first_line, nearest

VARIABLE = re.compile(r"\$\{(\w+)(?::([^}]*))?\}")
COUNT = re.compile(r"[1-9][0-9]*")
EXPECTED = {"object": "keys with values", "array": "a list", "string": "a text", "integer": "a whole number from 1 on"}
TRUTHS = {"true": True, "false": False}

Schema = Mapping[str, Any]
Scalar = str | bool


class Document:
    """A file that was read. Every method that finds fault with a node raises UsageError, with its line."""

    def __init__(self, path: Path, environment: Mapping[str, str] = os.environ) -> None:
        """Read a file. Raises UsageError for one that is no YAML, or more than one document."""
        self.path, self._environment = path, environment
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise UsageError(f"{path}{line}: no YAML ({error.problem or error.context})") from None
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UsageError(f"{path}: cannot be read ({first_line(error)})") from None
        if not isinstance(root, yaml.MappingNode):
            raise UsageError(f"{path}: should be {EXPECTED['object']}")
        self.root = root

    def wrong(self, node: yaml.Node, text: str) -> UsageError:
        """Return the error of a node."""
        return UsageError(f"{self.path}:{line_of(node)}: {text}")

    def check(self, node: yaml.Node, schema: Schema, called: str = "the file") -> None:
        """Hold a node, and all below it, against a schema. `called` is what a message calls it."""
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if isinstance(node, yaml.MappingNode) and "object" in kinds:
            self._check_object(node, schema, called)
        elif isinstance(node, yaml.SequenceNode) and "array" in kinds:
            if len(node.value) < schema.get("minItems", 0):
                raise self.wrong(node, f"{called} is empty")
            for below in node.value:
                self.check(below, schema["items"], f"an entry of {called}")
        elif not isinstance(node, yaml.ScalarNode) or not fits(node, kinds):
            should = " or ".join(expected(kinds))
            raise self.wrong(node, f"{called} is {said(node)}, and should be {should}{how_written(node, schema)}")

    def _check_object(self, node: yaml.MappingNode, schema: Schema, called: str) -> None:
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        found = self.pairs(node)
        for key, (place, below) in found.items():
            if key not in known and not others:
                hint = nearest(key, known) or f" (known: {', '.join(known)})"
                raise self.wrong(place, f"{called} has an unknown key {key!r}{hint}")
            self.check(below, known.get(key, others), key)
        if len(found) < schema.get("minProperties", 0):
            raise self.wrong(node, f"{called} is empty")
        for key in schema.get("required", ()):
            if key not in found:
                raise self.wrong(node, f"{called} lacks the key {key!r}")

    def pairs(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return the keys of a mapping, each with its own node and that of its value."""
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.wrong(key, "a key is no text")
            if key.value in found:
                raise self.wrong(key, f"the key {key.value!r} stands here twice")
            found[key.value] = key, value
        return found

    def at(self, node: yaml.MappingNode, key: str) -> Any:
        """Return the node below a key of a mapping, or None."""
        found = self.pairs(node).get(key)
        return None if found is None else found[1]

    def below(self, node: yaml.MappingNode | None) -> Iterable[tuple[str, Any]]:
        """Yield the keys of a mapping with the nodes of their values; nothing where there is none."""
        return () if node is None else ((key, value) for key, (_, value) in self.pairs(node).items())

    def scalar(self, node: yaml.ScalarNode) -> Scalar:
        """Return the very text of a scalar, `${NAME}` replaced from the environment; a plain true or false as such.

        YAML's other types are none on a command line, where `no` is a word and `010` is no 8.
        """
        if not node.style and node.value in TRUTHS:
            return TRUTHS[node.value]

        def value(found: re.Match[str]) -> str:
            name, default = found.groups()
            text = self._environment.get(name, default)
            if text is None:
                raise self.wrong(node, f"${{{name}}}: is not set; set it, or write ${{{name}:default}}")
            return text

        return VARIABLE.sub(value, node.value)


def line_of(node: yaml.Node) -> int:
    """Return the line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def fits(node: yaml.ScalarNode, kinds: Iterable[str]) -> bool:
    """Whether a scalar is of one of some types. Any that says something may be a text."""
    plain = not node.style
    if plain and node.value in ("", "~", "null"):
        return False
    return "string" in kinds or ("integer" in kinds and plain and COUNT.fullmatch(node.value) is not None)


def expected(kinds: Iterable[str]) -> list[str]:
    """Return what people call types."""
    return [EXPECTED[kind] for kind in kinds if kind in EXPECTED]


def how_written(node: yaml.Node, schema: Schema) -> str:
    """Return how a scalar is written as what it should be, where it can be."""
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        return ""
    if "string" in schema["type"]:
        return f': "{node.value}"'
    return f": [{node.value}]" if schema["type"] == "array" and schema["items"]["type"] != "object" else ""


def said(node: yaml.Node) -> str:
    """Return what people call a node."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if node.value or node.style else "empty"
    return EXPECTED["object" if isinstance(node, yaml.MappingNode) else "array"]
