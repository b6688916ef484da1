"""Captures by a torch that is older than fmbench's own: what `portable.py` is asked, and what it is not able to do."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fmbench.capture.manifest import FILE, QRELS, Manifest, check_id
from fmbench.collection.qrels import write_qrels
from fmbench.encoder import CHUNK, EncoderPlan
from fmbench.encoder.recipe import ROLES
from fmbench.encoder.steps import Normalise
from fmbench.errors import UsageError

from .arguments import CaptureArguments, Subject
from .context import Context
from .environments import Environment
from .layers import EIGHT, SENTENCE
from .probe import Probe, available
from .session import context_of, fingerprint_of
from .writer import claim, sha256_of

PORTABLE = Path(__file__).with_name("portable.py")
PROBES = (
    "tokens", "hidden", "bert", "amp_bert", "remove_dense", "lse", "pooled", "layer_norm", "norm", "sort", "subtract",
    "exact",
)  # fmt: skip
ATTENTION = "attn_implementation"


def refusal(arguments: CaptureArguments, plan: EncoderPlan) -> str | None:
    """Return what of a command line `portable.py` does not do, or None."""
    recipe = plan.said.over(plan.folder.recipe)
    sets = [f"--{name}:{key}" for name, tree in arguments.options.items() for key in tree if key != ATTENTION]
    given = {
        f"--probes {','.join(arguments.probes or ())}": not {*PROBES} & {*(arguments.probes or PROBES)},
        f"--platform {plan.platform.name}": not plan.platform.plain, "--compile": arguments.compile,
        "--colbert": arguments.colbert is not None, "a late-interaction model": plan.folder.late is not None,
        "--weights random": arguments.weights == "random",
        f"a model of the {plan.source.kind}": plan.source.kind != "folder",
        "--truncate_dim": recipe.truncate_dim is not None,
        "--include_prompt no": recipe.include_prompt is False,
        "the folder's further modules": any(not isinstance(step, Normalise) for step in plan.folder.steps),
    }  # fmt: skip
    return next((said for said, there in [*given.items(), *((name, True) for name in sets)] if there), None)


@dataclass
class OlderCaptures:
    """What environments with an older torch are asked; the model is loaded here once, for all that it decides."""

    arguments: CaptureArguments
    plan: EncoderPlan
    subject: Subject

    @cached_property
    def probes(self) -> dict[str, Probe]:
        """The probes of the command line that `portable.py` has."""
        asked = self.arguments.probes or PROBES
        return {name: probe for name, probe in available()[0].items() if name in PROBES and name in asked}

    @cached_property
    def context(self) -> Context:
        """The model as this environment loads it. Raises UsageError where it reads token types."""
        found = context_of(self.arguments, self.plan, self.subject)
        if "token_type_ids" in found.one_batch([SENTENCE]):
            raise UsageError(f"{self.plan.source.location}: reads token types, which an older torch is not given")
        return found

    def capture(self, environment: Environment, folder: Path) -> "subprocess.CompletedProcess[str]":
        """Capture in an environment. Raises UsageError where the folder is taken."""
        lock = claim(folder)
        try:
            (folder / FILE).write_text(self.manifest(environment, folder).to_json(), encoding="utf-8")
            with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as stream:
                json.dump(self.job(), stream)
                stream.flush()
                return environment.call(["-I", str(PORTABLE), stream.name, str(folder)])  # nothing beside the file
        finally:
            os.close(lock)

    def manifest(self, environment: Environment, folder: Path) -> Manifest:
        """Return what is known before anything is computed, the judgements being written."""
        known = {name: value for name, value in self.fingerprint.items() if name != "torch_settings"}
        known["packages"] = environment.versions(known["packages"])
        gains = self.subject.gains
        if gains:
            write_qrels(gains, folder / QRELS)
        return Manifest(
            fingerprint=known, model=str(known["model_digest"]), texts=self.subject.digest,
            text_count=len(self.subject.passages) + len(self.subject.queries), seed=self.context.seed, probes={},
            queries=len(self.subject.queries), qrels=sha256_of((folder / QRELS).read_bytes()) if gains else None,
        )  # fmt: skip

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What this environment says of the model, the machine and the command line."""
        return fingerprint_of(self.context)

    def job(self) -> dict[str, Any]:
        """Return what `portable.py` reads."""
        context, plan = self.context, self.plan
        encoder, recipe = context.encoder, context.encoder.recipe
        tokenizer = encoder.tokenizer
        return {
            "model": plan.source.location, "model_class": self.arguments.model_class,
            "attention": encoder.facts["attention"], "threads": self.fingerprint["threads"],
            "probes": {name: dict(probe.options) for name, probe in self.probes.items()},
            "rules": {role: readable(encoder.rules(role)) for role in ROLES},
            "prompts": {role: recipe.prompt(role) or "" for role in ROLES},
            "padding": tokenizer.pad_token_id or 0, "fill": encoder.late.fill_id(tokenizer),
            "skipped": encoder.skipped.tolist(), "dimensions": encoder.dimension,
            "query_length": encoder.query_length,
            "pooling": list(recipe.pooling or ()), "normalisations": len(encoder.steps) + bool(recipe.normalise),
            "budget": context.budget, "chunk": CHUNK, "sentence": SENTENCE, "eight": list(EIGHT),
            "texts": {"passage": list(self.subject.passages), "query": list(self.subject.queries)},
            "ids": {"passage": checked(self.subject.ids), "query": checked(self.subject.query_ids)},
        }  # fmt: skip


def readable(rules: str) -> str:
    """Return a tokenizer's rules as its library of that time reads them too: a merge is one text, not a pair."""
    found = json.loads(rules)
    if "merges" in found["model"]:
        found["model"]["merges"] = [one if isinstance(one, str) else " ".join(one) for one in found["model"]["merges"]]
    return json.dumps(found)


def checked(ids: Sequence[str]) -> list[str]:
    """Return ids that can stand in a run file. Raises ValueError."""
    return [check_id(identifier) for identifier in ids]
