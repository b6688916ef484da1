"""Descriptions of fields. Each is made once: it checks a line, and is the published schema, the columns of tables and
the reference of the lines.

A value that is null counts as absent. What a line says besides is passed on unread.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fmbench.lines import LineError
from fmbench.measure import is_seconds

# Beyond these, a line is damaged.
LARGEST = 2**63 - 1  # anything counted
GREATEST = 1e300  # any number; the sums and ratios of such still are
TIME = re.compile(r"-?[0-9]{1,18}\.[0-9]{9}")

Kind = Literal["truth", "integer", "number", "text", "numbers", "texts"]  # how a table holds a value
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """What may stand under one key, and what it means."""

    means: str
    form: str  # what people call such a value
    fits: Callable[[Any], bool]  # whether a value is one
    why: str | Callable[[Any], str]  # what is said behind the name of one that is none
    json: Json = field(default_factory=dict)  # JSON Schema of a value
    column: Kind | None = "text"
    unit: str = ""
    needed: bool = False  # an object says nothing without it
    binding: bool = False  # it says what an object is of: one where it is wrong says nothing
    below: "Schema | None" = None  # of an object
    each: "Schema | None" = None  # of every object of a list

    def published(self) -> Json:
        """Return the JSON Schema of the field: null is allowed where it is not needed."""
        known = {key: value for key, value in (("description", self.means), ("unit", self.unit)) if value}
        said = self.json if self.below is None else self.below.published()
        if self.needed or not said:
            return {**said, **known}
        if isinstance(said.get("type"), str):
            return {**said, "type": [said["type"], "null"], **known}
        return {"anyOf": [{"type": "null"}, said], **known}


@dataclass(frozen=True, slots=True)
class Schema:
    """An object: its fields by key, and further ones by what it is.

    `form` names what an object is by its values, and `forms` has the fields of each. The columns of an `open` one
    are those that a row has: its keys differ from row to row.
    """

    fields: Mapping[str, Field]
    means: str = ""
    open: bool = False
    form: Callable[[Mapping[str, Any]], str] = lambda data: ""
    forms: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)

    def without(self, *keys: str) -> "Schema":
        """Return the same but for some fields."""
        return replace(self, fields={key: one for key, one in self.fields.items() if key not in keys})

    def layers(self, data: Mapping[str, Any]) -> Iterator[Mapping[str, Field]]:
        """Yield the fields of an object, those that it has for what it is, and what it has of those of other forms."""
        own = self.forms.get(self.form(data), {})
        others = (item for form in self.forms.values() for item in form.items())
        yield self.fields
        yield own
        yield {key: replace(one, needed=False) for key, one in others if key in data and key not in own}

    def refuse(self, data: Json) -> list[str]:
        """Take every field out of an object that is not what it should be, and return why, a text each.

        Raises LineError where the object says nothing without it.
        """
        refused = []
        for fields in self.layers(data):
            for key, one in fields.items():
                value = data.get(key)
                if not one.needed if value is None else one.fits(value):
                    continue
                why = f"{key}{what_is_wrong(value, one)}"
                if one.needed or one.binding:
                    raise LineError(why)
                del data[key]
                refused.append(why)
        return refused

    def complaint(self, data: Mapping[str, Any]) -> str | None:
        """Return what the first field is that is not what it should be, or None."""
        found = (complaint(data.get(key), key, one) for fields in self.layers(data) for key, one in fields.items())
        return next(filter(None, found), None)

    def published(self) -> Json:
        """Return the JSON Schema of the object."""
        every = {**self.fields, **{key: one for form in self.forms.values() for key, one in form.items()}}
        needed = [key for key, one in self.fields.items() if one.needed]
        said: Json = {"type": "object", **({"required": needed} if needed else {})}
        return {**said, "properties": {key: one.published() for key, one in every.items()}}

    def columns(self, above: str = "") -> Iterator[tuple[str, Kind]]:
        """Yield the columns that a table of such objects has, with what they hold."""
        for key, one in self.fields.items():
            if one.below is not None and not one.below.open:
                yield from one.below.columns(f"{above}{key}.")
            elif one.column is not None:
                yield above + key, one.column

    def objects(self, above: str = "") -> Iterator[str]:
        """Yield the keys that hold an object or nothing, and so are no columns."""
        for key, one in self.fields.items():
            if one.below is not None:
                yield above + key
                yield from () if one.below.open else one.below.objects(f"{above}{key}.")


def complaint(value: Any, key: str, one: Field) -> str | None:
    """Return why a value cannot stand under a key, or None where it can."""
    fits = not one.needed if value is None else one.fits(value)
    return None if fits else f"{key}{what_is_wrong(value, one)}"


def what_is_wrong(value: Any, one: Field) -> str:
    """Return what is said behind the name of a value that does not fit."""
    if value is None:
        return " is missing"
    return one.why if isinstance(one.why, str) else one.why(value)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none, and nothing is that is beyond all measures."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= GREATEST


def is_count(value: Any) -> bool:
    """Whether a JSON value is a whole number, at least 0."""
    return type(value) is int and 0 <= value <= LARGEST


def is_text(value: Any) -> bool:
    """Whether a JSON value is a text."""
    return isinstance(value, str)


def all_are(one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return whether a JSON value is a list of such values."""
    return lambda value: isinstance(value, list) and all(map(one, value))


def text(means: str, *, needed: bool = False) -> Field:
    """Describe a text."""
    return Field(means, "text", is_text, " is no text", {"type": "string"}, needed=needed)


def choice(means: str, *values: str) -> Field:
    """Describe a text that must be one of some."""
    return Field(means, "text", values.__contains__, " is none of ours", {"enum": [*values]}, needed=True)


def time(means: str, *, needed: bool = False) -> Field:
    """Describe a moment: seconds since the epoch with nine decimals, as a text, since a double does not hold them."""
    schema = {"type": "string", "pattern": "^-?[0-9]+\\.[0-9]{9}$"}
    return Field(
        means, "time", lambda value: is_text(value) and TIME.fullmatch(value) is not None, " is no time", schema,
        needed=needed,
    )  # fmt: skip


def truth(means: str, *, needed: bool = False) -> Field:
    """Describe what is true or false."""
    schema, why = {"type": "boolean"}, " is neither true nor false"
    return Field(means, "true or false", lambda value: isinstance(value, bool), why, schema, "truth", needed=needed)


def count(means: str, unit: str = "", *, needed: bool = False) -> Field:
    """Describe a whole number, at least 0."""
    schema = {"type": "integer", "minimum": 0}
    return Field(means, "count", is_count, " is no whole number", schema, "integer", unit, needed)


def whole(means: str) -> Field:
    """Describe a whole number as a log has it, whatever it is."""
    return Field(
        means, "whole number", lambda value: type(value) is int and abs(value) <= LARGEST, " is no whole number",
        {"type": "integer"}, "integer",
    )  # fmt: skip


def constant(means: str, value: int) -> Field:
    """Describe what is the same in every row."""
    return Field(means, "count", lambda found: found == value, f" is not {value}", {"const": value}, "integer")


def number(means: str, unit: str = "", *, needed: bool = False) -> Field:
    """Describe any number."""
    return Field(means, "number", is_number, " is no number", {"type": "number"}, "number", unit, needed)


def seconds(means: str, *, needed: bool = False) -> Field:
    """Describe a duration in seconds."""
    schema = {"type": "number", "minimum": 0}
    return Field(means, "number", is_seconds, " is no number of seconds", schema, "number", "seconds", needed)


def interval(means: str, unit: str = "", *, needed: bool = False) -> Field:
    """Describe an interval: its low end and its high end."""
    schema = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    return Field(
        means, "low, high", lambda value: all_are(is_number)(value) and len(value) == 2, " is no pair of numbers",
        schema, "numbers", unit, needed,
    )  # fmt: skip


def numbers(means: str, unit: str = "", *, needed: bool = False) -> Field:
    """Describe a list of numbers."""
    schema = {"type": "array", "items": {"type": "number"}}
    return Field(means, "numbers", all_are(is_number), " is no list of numbers", schema, "numbers", unit, needed)


def counts(means: str, unit: str = "", *, needed: bool = False) -> Field:
    """Describe a list of whole numbers."""
    schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    return Field(means, "counts", all_are(is_count), " is no list of whole numbers", schema, "numbers", unit, needed)


def pairs(means: str) -> Field:
    """Describe a list of pairs of whole numbers."""
    one = counts("").json | {"minItems": 2, "maxItems": 2}
    is_pair = all_are(is_count)
    return Field(
        means, "list of pairs", all_are(lambda value: is_pair(value) and len(value) == 2),
        " is no list of pairs of whole numbers", {"type": "array", "items": one}, None,
    )  # fmt: skip


def texts(means: str, *, needed: bool = False) -> Field:
    """Describe a list of texts."""
    schema = {"type": "array", "items": {"type": "string"}}
    return Field(means, "texts", all_are(is_text), " is no list of texts", schema, "texts", needed=needed)


def anything(means: str, form: str = "any") -> Field:
    """Describe a value that nothing is read from."""
    return Field(means, form, lambda value: True, "", column=None)


def numbers_by_name(means: str, unit: str = "", *, needed: bool = False) -> Field:
    """Describe an object of numbers."""
    schema: Json = {"type": "object", "additionalProperties": {"type": "number"}}
    return Field(
        means, "number by name", lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
        " is no object of numbers", schema, None, unit, needed,
    )  # fmt: skip


def by_name(means: str, one: Field, of: str) -> Field:
    """Describe an object whose values are all such as one field; `of` is what messages call it."""

    def why(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f" is no {of}"
        found = (f": {name} is no {one.form}" if below is None else complaint(below, f": {name}", one)
                 for name, below in value.items())  # fmt: skip
        return next(filter(None, found), None)

    schema: Json = {"type": "object", "additionalProperties": replace(one, needed=True).published()}
    return explained(means, f"{one.form} by name", why, schema, None)


def intervals_by_name(means: str) -> Field:
    """Describe an object of intervals."""
    pair = replace(interval(""), form="pair of numbers")
    return replace(by_name(means, pair, "object of pairs of numbers"), form="low, high by name")


def part(means: str, below: Schema, *, needed: bool = False) -> Field:
    """Describe an object that has fields of its own."""

    def why(value: Any) -> str | None:
        if not isinstance(value, dict):
            return " is no object"
        found = below.complaint(value)
        return None if found is None else f": {found}"

    return explained(means, "object", why, column=None, needed=needed, below=below)


def parts(means: str, one: Schema, *, needed: bool = False) -> Field:
    """Describe a list of objects that have fields of their own."""

    def why(value: Any) -> str | None:
        if not isinstance(value, list):
            return " is no list"
        if not all(isinstance(item, dict) for item in value):
            return ": one is no object"
        found = next(filter(None, map(one.complaint, value)), None)
        return None if found is None else f": {found}"

    return explained(means, "objects", why, {"type": "array", "items": one.published()}, needed=needed, each=one)


def explained(means: str, form: str, why: Callable[[Any], str | None], *more: Any, **keys: Any) -> Field:
    """Return a field whose values fit where nothing says why they do not."""
    return Field(means, form, lambda value: why(value) is None, lambda value: str(why(value)), *more, **keys)
