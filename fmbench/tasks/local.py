"""Local tasks: what a YAML file says of them, and the items that their files hold, checked."""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fmbench.document import Document, Schema
from fmbench.errors import UsageError, first_line, nearest
from fmbench.resampling import FEW

# Of each type, the columns that its items have.
COLUMNS = {
    "sts": ("sentence1", "sentence2", "score"),
    "pair_classification": ("sentence1", "sentence2", "label"),
    "classification": ("text", "label"),
    "clustering": ("text", "label"),
    "reranking": ("query", "positive", "negative"),
    "bitext": ("sentence1", "sentence2"),
}
NUMBERS, LISTS = ("score",), ("positive", "negative")
TEXT = {"type": "string"}
TASK: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT, "type": TEXT, "data": TEXT, "train": TEXT,
        "columns": {"type": "object", "additionalProperties": TEXT},
    },
    "required": ["type", "data"],
}  # fmt: skip
TASKS: Schema = {"type": "object", "properties": {"tasks": {"type": "array", "minItems": 1, "items": TASK}}}
FILE = "task.yaml"  # of a folder that is a task
SEPARATORS = {".tsv": "\t", ".csv": ","}
KINDS = (*SEPARATORS, ".jsonl")

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A task and its items, a mapping from column to value each, and their files; `train` are those of a classifier."""

    name: str
    type: str
    items: Sequence[Item]
    train: Sequence[Item] = ()
    files: Sequence[Path] = ()

    def column(self, name: str) -> list[Any]:
        """Return the values of a column."""
        return [item[name] for item in self.items]

    def texts(self) -> Iterator[str]:
        """Yield every text that is encoded, those that are learned from too."""
        for item in (*self.items, *self.train):
            for name, value in item.items():
                if name not in ("label", "score"):
                    yield from value if name in LISTS else (value,)


def read_tasks(path: Path) -> list[Task]:
    """Return the tasks of a YAML file, or of a folder with a task.yaml. Raises UsageError with file and line."""
    document = Document(path / FILE if path.is_dir() else path)
    listed = document.at(document.root, "tasks")
    for node in listed.value if isinstance(listed, yaml.SequenceNode) else ():
        if isinstance(node, yaml.ScalarNode):
            raise document.wrong(node, f"{node.value} is no task of a file; MTEB's own are named on the command line, "
                                 "in a run for themselves: --tasks NAME,NAME")  # fmt: skip
    document.check(document.root, TASKS if listed else TASK)
    tasks: dict[str, Task] = {}
    for node in listed.value if listed else [document.root]:
        task = read_task(document, node)
        if task.name in tasks:
            raise document.wrong(node, f"two tasks are called {task.name}; a result says which by its name")
        tasks[task.name] = task
    return list(tasks.values())


def read_task(document: Document, node: yaml.MappingNode) -> Task:
    """Return one task. Raises UsageError that names the file and the line."""
    said = {key: below.value for key, below in document.below(node)}
    kind, data, file = said["type"], said["data"], document.path
    if kind not in COLUMNS:
        raise document.wrong(document.at(node, "type"), f"type {kind}: unknown{nearest(kind, COLUMNS)} (known: "
                             f"{', '.join(COLUMNS)}; a collection in BEIR's layout is evaluated by `fmbench retrieve "
                             "evaluate`)")  # fmt: skip
    if (kind == "classification") != ("train" in said):
        why = f"nothing is learned for {kind}; leave it out" if "train" in said else "name the file to learn from"
        raise document.wrong(node, f"train: {why}")
    names = {key: below.value for key, below in document.below(document.at(node, "columns"))}
    if not set(names) <= set(COLUMNS[kind]):
        raise document.wrong(document.at(node, "columns"), f"columns: {kind} has {', '.join(COLUMNS[kind])}; say which "
                             "column of the file each one is")  # fmt: skip
    name = said.get("name") or (file.parent.name if file.name == FILE else Path(data).stem)
    files = [file.parent / said[key] for key in ("data", "train") if key in said]
    items = [read_items(path, kind, names) for path in files]
    task = Task(name, kind, items[0], items[1] if "train" in said else (), files)
    check(task, files[0])
    return task


def read_items(path: Path, kind: str, names: Mapping[str, str]) -> list[Item]:
    """Return the items of a TSV, CSV or JSON lines file. Raises UsageError that names the file and the line."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    if path.suffix not in KINDS:
        raise UsageError(f"{path}: items are read from {', '.join(KINDS)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {first_line(error)}") from None
    rows = list(json_rows(text, path) if path.suffix == ".jsonl" else table_rows(text, SEPARATORS[path.suffix]))
    if not rows:
        raise UsageError(f"{path}: holds no item")
    return [item_of(row, kind, names, f"{path}, line {line}") for line, row in rows]


def table_rows(text: str, separator: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a table with a header, and their lines. TSV has no quotes, as in the field's data sets."""
    lines = text.splitlines()
    if separator == "\t":
        yield from table_lines(csv.DictReader(lines, delimiter=separator, quoting=csv.QUOTE_NONE))
    else:
        yield from table_lines(csv.DictReader(lines))


def table_lines(reader: "csv.DictReader[str]") -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a reader, and their lines."""
    for row in reader:
        yield reader.line_num, row


def json_rows(text: str, path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Yield the objects of JSON lines, and their lines. Raises UsageError."""
    for line, one in enumerate(text.splitlines(), start=1):
        if not one.strip():
            continue
        try:
            row = json.loads(one)
        except ValueError as error:
            raise UsageError(f"{path}, line {line}: {error}") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {line}: is no object")
        yield line, row


def item_of(row: Mapping[str, Any], kind: str, names: Mapping[str, str], where: str) -> Item:
    """Return an item by the names that its type has. Raises UsageError for what is missing, or of another form."""
    found = {}
    if any(row.get(None, ())):  # type: ignore[call-overload]
        raise UsageError(f"{where}: has more fields than the header; in a .csv, a text with a comma stands in quotes")
    for column in COLUMNS[kind]:
        name = str(names.get(column, column))
        value = row.get(name)
        if value is None and name in row:
            raise UsageError(f"{where}: {name} is missing")
        if value is None:
            known = [str(key) for key in row if key is not None]
            raise UsageError(f"{where}: no {name}{nearest(name, known)} (it has {', '.join(known)}; another name is "
                             f"said by columns: {{{column}: ...}})")  # fmt: skip
        found[column] = value_of(column, value, kind, where)
    return found


def value_of(column: str, value: Any, kind: str, where: str) -> Any:
    """Return a value of a column. Raises UsageError."""
    if column in LISTS:
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            raise UsageError(f"{where}: {column} is no list of texts with at least one")
        return value
    if column in NUMBERS or (kind == "pair_classification" and column == "label"):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or (column == "label" and number not in (0, 1)):
            wanted = "0 or 1" if column == "label" else "a finite number"
            raise UsageError(f"{where}: {column} {value!r} is not {wanted}")
        return number
    if column == "label":
        return str(value)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {column} is no text; this encoder takes text alone")
    return value


def check(task: Task, path: Path) -> None:
    """Raise UsageError for items that no score follows from."""
    if task.type == "sts" and len(set(task.column("score"))) == 1:
        raise UsageError(f"{path}: all scores are {task.items[0]['score']:g}; there is no order to agree with")
    if task.type == "pair_classification" and len(set(task.column("label"))) == 1:
        raise UsageError(f"{path}: all labels are {task.items[0]['label']:g}; there is nothing to tell apart")
    if task.type == "clustering" and not 1 < len(set(task.column("label"))) < len(task.items):
        raise UsageError(f"{path}: {len(set(task.column('label')))} labels of {len(task.items)} texts: a cluster has "
                         "several texts, and there are several")  # fmt: skip
    if task.type == "bitext" and len(task.items) < 2:
        raise UsageError(f"{path}: one pair alone is always found")
    if task.type == "classification":
        check_labels(task, path)


def check_labels(task: Task, path: Path) -> None:
    """Raise UsageError for labels that nothing can be learned of."""
    learned = Counter(item["label"] for item in task.train)
    once = sorted(name for name, count in learned.items() if count == 1)
    if once:
        raise UsageError(f"{path}: the labels {', '.join(once[:3])} are seen once in the training file; give two "
                         "examples of each at least")  # fmt: skip
    if len(learned) < 2:
        raise UsageError(f"{path}: the training file has one label; there is nothing to tell apart")
    unknown = sorted(set(task.column("label")) - set(learned))
    if unknown:
        raise UsageError(f"{path}: the labels {', '.join(unknown[:3])} are in no training example")


def oddities(task: Task) -> list[str]:
    """Return one line for everything about a task that the user should know."""
    learned, empty = {item["text"] for item in task.train}, sum(not text.strip() for text in task.texts())
    known = sum(item["text"] in learned for item in task.items) if learned else 0
    found = []
    if empty:
        found.append(f"empty texts, encoded like others: {empty:,}")
    if known:
        found.append(f"texts that are in the training file too: {known:,} of {len(task.items):,}; their score says "
                     "little of others")  # fmt: skip
    if len(task.items) < FEW:
        found.append(f"few items: {len(task.items)}; the interval of fewer than {FEW} is too narrow")
    return found
