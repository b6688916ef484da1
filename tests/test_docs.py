"""The documentation runs: every command in it, every FMWORK line, every error message that it shows.

A document's ```bash blocks are run in order, in a folder of their own, and every command must exit with 0. Two
exceptions: `driver ...  # exit 2` says that the command is wrong on purpose, and a command for a platform that is not
usable here must exit with 3, which shows that its arguments parse. What cannot be run is a ```text block.
"""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fmbench import backend, lines, stats
from fmbench.backends.spyre import STACKS, SpyreBackend
from fmbench.cli import SUMMARIES
from fmbench.errors import UsageError
from fmbench.options import SETS, parse_arguments
from fmbench.process.publishing import reference

from .drivers.distill.tiny import write_collection
from .process.log_lines import KINDS
from .test_examples import OURS, install_example
from .tiny_model import write_model

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ABOUT = [ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING")]
DOCUMENTS = [*ABOUT, *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]

PROGRAMS = ("driver", "process", "fmbench")
SHELL = ("cut",)  # what else is run; a pipeline is what it begins with
LANGUAGES = ("bash", "text", "python", "toml", "yaml", "json", "")
# Commands that documents may show and this test does not run, each with its reason.
NOT_RUN = {
    "pip install": "changes the environment; fmbench is installed already, and the example package is put on the path",
    "git clone": "needs a network; the tests are in the clone",
    "cd": "every document runs in a folder of its own",
    "source": "activates an environment; the tests run inside one",
    "export": "would not outlive its line; a variable that a command needs is written before the command",
}

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
ASSIGNMENTS = re.compile(r"^(?:[A-Za-z_]\w*=\S*\s+)*")
PLATFORM = re.compile(r"--platform[ =](\S+)")
STATED_EXIT = re.compile(r"#\s*exit (\d+)\s*$")
# A pipeline fails with its first part that fails; 141 is a writer whose reader had enough (`| head`).
CHECK_PIPELINE = 'for code in "${PIPESTATUS[@]}"; do case $code in 0|141) ;; *) exit "$code" ;; esac; done'


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    language: str
    body: str

    @property
    def commands(self) -> list[str]:
        """Its commands: continued lines joined, comments left out, `a && b` as two commands."""
        joined = self.body.replace("\\\n", " ")
        rows = [row.strip() for row in joined.splitlines()]
        return [part.strip() for row in rows if row and not row.startswith("#") for part in row.split(" && ")]


def blocks(text):
    """Every fenced block of a document, dedented."""
    fences = [line for line in text.splitlines() if line.lstrip().startswith("```")]
    found = list(FENCE.finditer(text))
    assert len(fences) == 2 * len(found), "a fence is not closed"
    result = []
    for match in found:
        language = match["language"].strip()
        assert language in LANGUAGES, f"```{language}: write ```bash (it is run) or ```text (it is not)"
        result.append(Block(language, re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)))
    return result


def words(command):
    """A command's words, without the assignments before it."""
    return ASSIGNMENTS.sub("", command, count=1).split()


def is_allowed_unrun(command):
    return any(words(command)[: len(prefix.split())] == prefix.split() for prefix in NOT_RUN)


def usable(platform):
    try:
        return backend.find(platform).unavailable() is None
    except UsageError:  # a plug-in that only the document installs; its run will tell
        return True


def expected_exit(command):
    stated = STATED_EXIT.search(command)
    if stated:
        return int(stated[1])
    return 0 if all(usable(name) for name in PLATFORM.findall(command)) else 3


def run_document(text, folder, programs=Path(sys.executable).parent, extra_path=""):
    """Run a document's commands; return how many there were. Raises AssertionError that names the command."""
    environment = {name: value for name, value in os.environ.items() if name not in ("FMBENCH_DEBUG", "PYTHONPATH")}
    environment |= {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",  # no command may need a download
        "PYTHONPATH": extra_path,
    }
    count, last_stderr = 0, ""
    for block in blocks(text):
        if block.language == "bash":
            for command in block.commands:
                last_stderr = run_command(command, folder, environment)
                count += 1
        elif re.match(rf"({'|'.join(PROGRAMS)})\b.*: error: ", block.body):
            shown, said = " ".join(block.body.split()), " ".join(last_stderr.split())
            assert shown in said, f"documented: {shown}\nsaid: {said}"
    return count


def run_command(command, folder, environment):
    """Run one command of a document as its kind wants; return its stderr."""
    first = words(command)[0]
    if first == "make":
        script, expected, folder = f"make -n {' '.join(words(command)[1:])}", 0, ROOT
    elif first in (*PROGRAMS, *SHELL):
        script, expected = f"{command}\n{CHECK_PIPELINE}", expected_exit(command)
    else:
        assert is_allowed_unrun(command), f"{command}: the test knows no such command (see NOT_RUN)"
        return ""
    run = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == expected, (
        f"{command}\nexit {run.returncode}, expected {expected}\n{run.stdout[-1000:]}\n{run.stderr[-2000:]}"
    )
    return run.stderr


@pytest.fixture(scope="session")
def example_path(tmp_path_factory):
    """An example package as `pip install ./examples/NAME` would leave it: modules and entry points."""
    return functools.cache(functools.partial(install_example, tmp_path_factory))


def name_of(document):
    return str(document.relative_to(ROOT))


def prepare_retrieval(folder):
    """A tiny model and a tiny collection under the names that a document uses for real ones."""
    write_model(folder / "models" / "all-MiniLM-L6-v2")
    write_collection(folder / "data" / "scifact")


def prepare_ms_marco(folder):
    """A tiny collection in the files of MS MARCO's passage ranking."""
    pytest.importorskip("bm25s")
    prepare_retrieval(folder)
    source, target = folder / "data" / "scifact", folder / "msmarco"
    target.mkdir()
    documents, queries = (
        [json.loads(line) for line in (source / f"{name}.jsonl").read_text().splitlines()]
        for name in ("corpus", "queries")
    )
    write_columns(target / "collection.tsv", [(row["_id"], row["text"]) for row in documents])
    for name, split in (("train", "train"), ("dev.small", "test")):
        judged = [line.split("\t")[:2] for line in (source / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]]
        asked = {query for query, _ in judged}
        write_columns(
            target / f"queries.{name}.tsv", [(row["_id"], row["text"]) for row in queries if row["_id"] in asked]
        )
        write_columns(target / f"qrels.{name}.tsv", [(query, "0", document, "1") for query, document in judged])
        triples = [(query, document, f"d{number}") for query, document in judged for number in range(3)]
        write_columns(target / f"qidpidtriples.{name}.full.2.tsv", triples)


def write_columns(path, rows):
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def prepare_sweep(folder):
    """The last sweep file that the document shows."""
    found = [block.body for block in blocks((DOCS / "how-to" / "sweep.md").read_text()) if block.language == "yaml"]
    (folder / "small.yaml").write_text(found[-1])


# What a reader has before the first command of a document.
PREPARED = {
    "README.md": prepare_retrieval,
    "docs/tutorials/first-ten-minutes.md": prepare_retrieval,
    "docs/tutorials/guard-an-upgrade-in-ci.md": prepare_retrieval,
    "docs/tutorials/small-query-encoder.md": prepare_retrieval,
    "docs/how-to/train-on-ms-marco.md": prepare_ms_marco,
    "docs/how-to/run-on-other-engines.md": prepare_retrieval,
    "docs/how-to/read-results.md": prepare_retrieval,
    "docs/how-to/sweep.md": prepare_sweep,
    "docs/how-to/choose-a-configuration.md": prepare_retrieval,
    "docs/how-to/load.md": prepare_retrieval,
}


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_does_what_its_document_says(document, tmp_path, example_path, forks):
    text = document.read_text(encoding="utf-8")
    PREPARED.get(name_of(document), lambda folder: None)(tmp_path)
    needed = dict.fromkeys(re.findall(r"pip install \./examples/([\w-]+)", text))
    run_document(text, tmp_path, forks, os.pathsep.join(map(example_path, needed)))


def test_there_are_commands_to_run():
    documented = [command for document in DOCUMENTS for command in commands_of(document)]
    assert len([command for command in documented if words(command)[0] in PROGRAMS]) >= 10


def commands_of(document):
    found = blocks(document.read_text(encoding="utf-8"))
    return [command for block in found if block.language == "bash" for command in block.commands]


def fmwork_lines(document):
    found = blocks(document.read_text(encoding="utf-8"))
    return [line for block in found for line in block.body.splitlines() if line.startswith("FMWORK ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_fmwork_line_is_what_fmbench_writes(document):
    for text in fmwork_lines(document):
        line = lines.parse_line(text)
        assert line is not None, f"no kind of fmbench: {text}"
        assert line.format() == text


def test_the_reference_shows_every_kind_of_line():
    shown = {text.split()[1] for text in fmwork_lines(DOCS / "reference" / "lines.md")}
    assert shown == set(KINDS)


@pytest.mark.parametrize("path", sorted((DOCS / "reference").glob("*.md")), ids=lambda path: path.stem)
def test_the_reference_says_what_the_code_says(path):
    text = path.read_text(encoding="utf-8")
    assert reference.page(text) == text, "stale: python -m fmbench.process.publishing.reference docs/reference"


def test_the_reference_leaves_nothing_out():
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    marks = {found.groups()[:3] for found in reference.PLACE.finditer(pages)}
    kinds = reference.kinds().items()
    wanted = {("fields", kind, form) for kind, schema in kinds for form in schema.forms}
    wanted |= {("fields", kind, None) for kind, schema in kinds if any(reference.rows(schema.fields))}
    assert wanted <= marks, "a kind has no table"
    assert set(reference.PARTS) == {part for part, _, _ in marks}
    assert all(f"\n## fmbench {name}" in pages for name in set(SUMMARIES) - {"driver", "process"})
    assert all(f"\n| {name} | " in pages for name in OURS)


def test_the_reference_derives_its_result_from_its_repetitions():
    parsed = [lines.parse_line(text) for text in fmwork_lines(DOCS / "reference" / "lines.md")]
    end = next(index for index, line in enumerate(parsed) if lines.is_json(line, "STAT"))
    shape = parsed[: end + 1]  # the log of one shape comes first
    (result,) = [line for line in shape if isinstance(line, lines.Res)]
    repetitions = [line for line in shape if isinstance(line, lines.Rep)]
    assert [line.duration for line in repetitions] == [line.end - line.start for line in repetitions]
    assert (result.start, result.end) == (repetitions[0].start, repetitions[-1].end)
    kept = sorted(line.duration for line in repetitions[stats.dropped(len(repetitions)) :])
    middle = kept[len(kept) // 2]
    assert len(kept) % 2 == 1, "the page speaks of the middle one"
    assert result.latency == round(middle / 1e6, 3)
    assert result.throughput == round(result.batch_size / (middle / 1e9), 1)
    assert shape[-1].data["p50"] == pytest.approx(middle / 1e6)


def test_the_reference_names_every_set_of_sub_options():
    text = (DOCS / "reference" / "suboptions.md").read_text(encoding="utf-8")
    assert [name for name in SETS if f"`--{name}:" not in text] == []


SPYRE_COMMANDS = [command for command in commands_of(DOCS / "how-to" / "run-on-spyre.md") if "driver" in words(command)]


@pytest.mark.parametrize("command", SPYRE_COMMANDS)
def test_every_spyre_command_passes_the_checks_of_its_stack(command, monkeypatch):
    # Where no stack is installed, the exit code 3 comes before these checks.
    argv = shlex.split(re.split(r" [|>#] ?", ASSIGNMENTS.sub("", command, count=1))[0])[1:]
    arguments = parse_arguments(argv)
    wanted = "sendnn" if "--compile:backend sendnn" in command else "torch_spyre"
    both = "stack" in arguments.options["platform"]
    for name, stack in STACKS.items():
        monkeypatch.setattr(stack, "installed", classmethod(lambda cls, there=both or name == wanted: there))
    SpyreBackend().check(arguments)


# The test itself can fail

DRIVER = "driver --model_class BertModel --model_name x --input_sizes 8 --batch_sizes 1 --platform"


def bash(*commands):
    return "\n".join(["text", "```bash", *commands, "```", ""])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bash("ls"), "the test knows no such command"),
        (bash("cat x | process --path -"), "the test knows no such command"),
        (bash("pip download x"), "the test knows no such command"),
        (bash("fmbench --version && rm -r x"), "the test knows no such command"),
        (bash("process --path missing.log"), "exit 2, expected 0"),
        (bash("process --path \\", "  missing.log"), "exit 2, expected 0"),
        (bash("process --path missing.log | cat"), "exit 2, expected 0"),
        (bash("fmbench --version  # exit 2"), "exit 0, expected 2"),
        (bash(f"{DRIVER} hpu --resp 3"), "exit 2, expected 3"),
        (bash("make no-such-target"), "exit 2, expected 0"),
        (bash("process --path no.log  # exit 2") + "```text\nprocess: error: wrong\n```\n", "documented: .* wrong"),
        ("```sh\nls\n```\n", "write ```bash"),
        ("```bash\nls\n", "not closed"),
    ],
)
def test_a_wrong_document_fails(text, message, tmp_path):
    with pytest.raises(AssertionError, match=message):
        run_document(text, tmp_path)


@pytest.mark.slow
def test_a_right_document_passes(tmp_path):
    commands = bash(
        "# a comment",
        "fmbench --version > one.log",
        "process --path \\",
        "    one.log",
        "fmbench models | head -1",
        "NAME=value fmbench --version && process --path one.log",
        "pip install fmbench",
        "make help",
        "process --path no.log  # exit 2",
    )
    shown = "```text\nprocess: error: --path no.log:\nno such file or folder\n```\n"
    assert run_document(commands + shown + "```text\nrm -r nothing\n```\n", tmp_path) == 8
    assert (tmp_path / "one.log").read_text().startswith("fmbench ")


@pytest.mark.slow
@pytest.mark.skipif(usable("hpu"), reason="this machine has a Gaudi")
def test_a_platform_that_is_not_here_must_exit_with_3(tmp_path):
    assert run_document("- item\n\n  " + bash(f"{DRIVER} hpu --reps 3").replace("\n", "\n  "), tmp_path) == 1
