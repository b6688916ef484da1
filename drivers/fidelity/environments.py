"""What a version is captured in: an environment that differs from this one by what a user names, kept for next time."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import distributions, requires
from pathlib import Path
from typing import Any

from fmbench import children, distribution, facts, host
from fmbench.capture.manifest import Manifest, read_manifest
from fmbench.claim import one_writer
from fmbench.collection.qrels import write_tsv
from fmbench.digest import digest_of_json
from fmbench.encoder import EncoderPlan
from fmbench.errors import FmbenchError, UsageError
from fmbench.facts import package_version
from fmbench.secrets import masked_text, sealed
from fmbench.whole_file import cut, whole_file

from .arguments import Subject
from .comparison import model_changes
from .late_interaction import head_digest, late_of

READY = "fmbench-ready.json"
LAYER = "fmbench-layer.pth"
LONGEST = 100  # bytes of a name: files have endings behind it
OPTION = re.compile(r"\s*-")
NAME = re.compile(r"[A-Za-z0-9._-]+")  # of a package, where a requirement begins
PIN = re.compile(r"torch\s*==\s*(\d[\d.]*)")
LEAST = re.compile(r"torch\s*>=\s*(\d[\d.]*)")
# What `portable.py` needs beside torch. One set for all versions, so that nothing but torch differs between them: the
# last transformers that runs with torch 1.13, and the last numpy that those older than 2.3 were built for.
COMPANIONS = {"numpy": "numpy<2", "transformers": "transformers>=4.30,<4.45", "safetensors": "safetensors"}


class InstallError(FmbenchError):
    """A requirement that cannot be installed. Its text is the installer's reason."""


@dataclass(frozen=True)
class Environment:
    """What is installed on top of this environment: requirements, as pip reads them, separated by blanks.

    `options` are --index-url and --find-links of the command line; their values are never printed.
    """

    requirement: str
    options: tuple[str, ...]
    cache: Path

    @property
    def words(self) -> list[str]:
        """The requirements one by one. Raises UsageError for one that is an option, or none."""
        words = shlex.split(self.requirement)
        if not words or any(OPTION.match(word) for word in words):
            raise UsageError(f"--with {self.requirement!r}: name requirements such as torch==2.13.0, and no options")
        return words

    @property
    def label(self) -> str:
        """What it is called before people: the requirement without the secrets of its address."""
        return masked_text(self.requirement)

    @property
    def brings(self) -> list[str]:
        """The packages of which no version is installed here: nobody knows here which plug-ins they have."""
        return [package for package in map(package_of, self.words) if package_version(package) is None]

    @property
    def older(self) -> bool:
        """Whether its torch is older than fmbench's own: it then stands by itself, and `portable.py` captures in it."""
        pins = [PIN.match(word) for word in self.words]
        return any(numbers(pin[1]) < numbers(least_torch()) for pin in pins if pin)

    @property
    def wanted(self) -> list[str]:
        """What is installed: the requirements, and beside an older torch what is not named and goes with it."""
        named = {*map(package_of, self.words)}
        return [*self.words, *(word for name, word in COMPANIONS.items() if self.older and name not in named)]

    @property
    def name(self) -> str:
        """What files and tables call it."""
        plain = re.sub(r"[^\w.+-]+", "-", masked_text(self.requirement, sealed)).strip("-")
        short = cut(plain, LONGEST)
        return plain if short == plain else f"{short}-{digest_of_json(plain)[:8]}"

    @property
    def folder(self) -> Path:
        """Where it is: told from others by what is installed, from where, and on top of what."""
        key = [self.wanted, list(self.options), sys.version, sys.prefix]
        return self.cache / digest_of_json(key)[:16]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def make(self) -> None:
        """Make it, or find it made.

        Raises InstallError, and UsageError where another run makes it, or the folder cannot be written.
        """
        with one_writer(self.folder, "--environments"):
            if not (self.folder / READY).is_file():
                self.build()

    def build(self) -> None:
        """Make it anew."""
        try:
            venv.EnvBuilder(clear=True, symlinks=os.name != "nt").create(self.folder)  # one that was begun is cleared
            if not self.older:
                layer(self.folder)
        except OSError as error:
            raise UsageError(f"--environments {self.cache}: {error.strerror or error}") from None
        self.install()
        with whole_file(self.folder / READY) as stream:
            json.dump({"requirements": [masked_text(word) for word in self.words]}, stream)

    def install(self) -> None:
        """Install the requirements with this environment's pip, which sees what lies below and leaves it alone."""
        pip = children.python("-m", "pip", "--python", str(self.python), "install", "--disable-pip-version-check")
        done = children.run([*pip, *self.options, *self.wanted])
        if done.returncode:
            raise InstallError(reason_of(done.stderr or done.stdout, self.options))

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """Return the versions of those packages that it has, its own before what lies below."""
        paths = [str(purelib(self.folder)), *([] if self.older else below())]
        found = {name: next(iter(distributions(name=name, path=paths)), None) for name in names}
        return {name: one.version for name, one in found.items() if one is not None}

    def run(self, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run fmbench in it; stderr is kept, stdout too."""
        return self.call(["-m", "fmbench", *words])

    def call(self, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run its Python; stderr is kept, stdout too."""
        command = children.python(*words, program=str(self.python))
        return children.run(command, {**os.environ, "PYTHONNOUSERSITE": "1"})


def package_of(requirement: str) -> str:
    """Return the package that a requirement names; one that begins with no name is returned whole."""
    named = NAME.match(requirement)
    return named[0] if named else requirement


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, to be compared."""
    return tuple(int(part) for part in version.split(".") if part)


@cache
def least_torch() -> str:
    """Return the oldest torch that fmbench itself runs with, as its own metadata have it."""
    return next(found[1] for found in map(LEAST.match, requires(distribution.name()) or []) if found)


def layer(folder: Path) -> None:
    """Let a new environment see what is installed in this one, behind its own: only what is named differs."""
    rows = "".join(f"import site; site.addsitedir({path!r})\n" for path in below())
    (purelib(folder) / LAYER).write_text(rows, encoding="utf-8")


def below() -> list[str]:
    """Return where what is installed in this environment lies."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


def purelib(folder: Path) -> Path:
    """Return where an environment's own packages lie."""
    return Path(sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})["purelib"])


def reason_of(text: str, options: Sequence[str]) -> str:
    """Return an installer's last complaint on one line, without what an index URL may hold."""
    for option in options:
        text = text.replace(option, "...")
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    errors = [row for row in rows if row.lower().startswith(("error", "x ", "\N{MULTIPLICATION X}"))]
    return re.sub(r"//[^/@\s]+@", "//...@", (errors or rows or ["the installer failed without a word"])[-1])[:300]


Versions = Callable[[Iterable[str]], Mapping[str, str]]  # of packages, in the environment that captures


@dataclass
class Present:
    """What a capture would be made of now; the model is read once, and only where there is an older capture."""

    plan: EncoderPlan
    subject: Subject
    colbert: Path | None = None

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """What a fingerprint says of the model."""
        return self.plan.model_facts()

    @cached_property
    def judgements(self) -> str | None:
        """What a manifest says of the judgements."""
        if not self.subject.gains:
            return None
        text = io.StringIO()
        write_tsv(self.subject.gains, text)
        return sha256(text.getvalue().encode()).hexdigest()

    def stale(self, folder: Path, versions: Versions) -> str | None:
        """Return why a capture must be made again, or None where it is of what is there now."""
        try:
            manifest = read_manifest(folder)
        except UsageError as error:
            return str(error)
        if manifest.texts != self.subject.digest:
            return "the texts are others now"
        if manifest.qrels != self.judgements:
            return "the judgements are others now"
        return "; ".join([*model_changes(manifest, self.model), *self.changes(manifest, versions)]) or None

    def changes(self, manifest: Manifest, versions: Versions) -> list[str]:
        """Return, in words, what else is not what it was: software, machine, variables, the head of token vectors."""
        known = manifest.fingerprint
        now = {
            **facts.software_facts(), **host.host_facts(), "variables": facts.variables(),
            "packages": versions(known.get("packages", {})),
            "head_digest": head_digest(late_of(self.plan.folder, self.colbert)),
        }  # fmt: skip
        then = {key: known[key] for key in now.keys() & known.keys()}
        return [facts.said_of(name, *pair) for name, pair in facts.differences(then, now).items()]
