"""Captures of an earlier run: kept where everything that decides what they hold is still what it was."""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from fmbench import facts, host
from fmbench.collection.qrels import write_tsv
from fmbench.encoder import EncoderPlan
from fmbench.errors import UsageError
from fmbench.identity import identify

from .comparison import model_changes
from .late_interaction import head_digest
from .manifest import Manifest, read_manifest
from .subject import Subject

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
        arguments = self.plan.arguments.evaluated()
        found = identify(self.plan.source, arguments, self.plan.folder.path).facts()
        return {**found, "weights": arguments.weights, "model_source": self.plan.source.kind}

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
            "packages": versions(known.get("packages", {})), "head_digest": head_digest(self.colbert),
        }  # fmt: skip
        then = {key: known[key] for key in now.keys() & known.keys()}
        return [facts.said_of(name, *pair) for name, pair in facts.differences(then, now).items()]
