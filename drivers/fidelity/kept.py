"""Captures of an earlier run: kept where texts, judgements and weights are still what they were made of."""

import io
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from fmbench import model
from fmbench.collection.qrels import write_tsv
from fmbench.encoder import EncoderPlan
from fmbench.errors import UsageError
from fmbench.fidelity.manifest import read_manifest
from fmbench.fidelity.subject import Subject


@dataclass
class Present:
    """What a capture would be made of now; the weights are read once, and only where there is an older capture."""

    plan: EncoderPlan
    subject: Subject

    @cached_property
    def weights(self) -> str:
        """What a manifest says of the weights."""
        return str(model.digest(self.plan.source, self.plan.arguments.evaluated()))

    @cached_property
    def judgements(self) -> str | None:
        """What a manifest says of the judgements."""
        if not self.subject.gains:
            return None
        text = io.StringIO()
        write_tsv(self.subject.gains, text)
        return sha256(text.getvalue().encode()).hexdigest()

    def stale(self, folder: Path) -> str | None:
        """Return why a capture must be made again, or None where it is of what is there now."""
        try:
            manifest = read_manifest(folder)
        except UsageError as error:
            return str(error)
        if manifest.texts != self.subject.digest:
            return "the texts are others now"
        if manifest.qrels != self.judgements:
            return "the judgements are others now"
        return "the weights are others now" if manifest.model != self.weights else None
