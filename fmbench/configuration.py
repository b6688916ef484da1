"""Configuration: what a figure is a figure of. Its identity, from the facts (ENV lines) of a run alone.

Two runs have one configuration where everything is equal that decides how fast a text becomes a vector, and which one:
the model, what it was computed in and with, and the machine. What was asked of it (sizes, texts, data, repetitions),
how a text is brought to the model (the recipe), and what changes from run to run is no part of it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fmbench.digest import digest_of_json
from fmbench.errors import UsageError
from fmbench.facts import CIRCUMSTANCES, DIGEST, MODEL, UNSEEN, flat, short
from fmbench.machine import HOST, hardware_of, name_of
from fmbench.markdown import harmless
from fmbench.precision import spelled
from fmbench.torch_settings import SPINS

DIGITS = 6
# What was asked of a configuration, and how its texts were brought to it.
ASKED = {
    "task", "timed", "seed", "data", "texts", "passages", "queries", "recipe", "prompts", "similarity", "dimensions",
    "query_models", "captures", "differing", "head", "head_digest", "variant", "client", "serving", "dimension",
}  # fmt: skip
# What follows from other facts, or says where they are from. A model's parts are under its digest.
DERIVED = {
    MODEL, "model", "model_source", "parameters", "model_bytes", "weights_missing", "maximum_length", "published",
}  # fmt: skip
PROGRAM = {"fmbench", "fmbench_commit", "python", "system", "container", "virtual_machine", "memory_bytes"}
LEFT_OUT = CIRCUMSTANCES | ASKED | DERIVED | PROGRAM | {*HOST, "memory_limit_bytes"}
# Sub-options that a fact of its own shows, whoever said it, once a model is set up; and arguments that facts show then.
SHOWN_ELSEWHERE = re.compile(
    r"--(model:(torch_)?dtype|model:attn_implementation|torch\.call:(set_grad_enabled|set_num_threads"
    r"|set_float32_matmul_precision|set_default_dtype|use_deterministic_algorithms))@?( |$)"
)
SET_UP = re.compile(r"--(threads|pin|compile|weights|device|model_class)( |$)")
THREADS = re.compile(r"variables\..*_NUM_THREADS")  # what came of them is the fact `threads`
OWN = ("variables.GOMP_SPINCOUNT", SPINS)
COMPILER = re.compile(r"--compile:backend@? ")
UNSET: tuple[object, ...] = (None, [], {}, "")


@dataclass(frozen=True)
class Configuration:
    """One configuration: the `model`'s name, and the facts that make it this one and no other, flat and by name."""

    model: str | None
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, environment: Mapping[str, Any], model: str | None = None, said: Sequence[str] = ()) -> "Configuration":
        """Return the configuration that the facts of a run, or of one of its variants, describe.

        For logs of earlier versions, and of runs that ended before their model was set up: `model` is its name where
        the facts have none, and `said` is the command line, a variant's overrides behind it, where these have no
        options.
        """
        kept = {name: value for name, value in environment.items() if name not in LEFT_OUT and value not in UNSET}
        kept.pop("options", None)
        options = environment.get("options", said)
        if isinstance(options, Sequence):
            shown = is_set_up(environment)
            kept["options"] = sorted(str(one) for one in options if not (shown and SHOWN_ELSEWHERE.match(str(one))))
        name = environment.get("model") or model
        if kept.get(DIGEST) is None:
            kept["model"] = name
        dtype = environment.get("dtype")
        kept["precision"] = environment.get("precision") or dtype
        kept |= {key: spelled(value) for key in ("precision", "dtype") if isinstance(value := kept.get(key), str)}
        kept["machine"] = machine_of(environment)
        kept = {key: value for key, value in flat(kept).items() if value not in UNSET}
        return cls(name, {key: value for key, value in kept.items() if not says_threads(key, value)})

    @cached_property
    def id(self) -> str:
        """A short name that is the same in every log of this configuration: `c-7f3a91`."""
        return f"c-{digest_of_json(self.facts)[:DIGITS]}"


def is_set_up(facts: Mapping[str, Any]) -> bool:
    """Whether a run came to say what its model computes in; what ended before has its command line alone."""
    return "dtype" in facts


def options_of(arguments: Iterable[str], facts: Mapping[str, Any]) -> list[str]:
    """Return the arguments of a command line that are of a configuration, and that no fact says."""
    return [text for text in arguments if ":" in text or (SET_UP.match(text) and not is_set_up(facts))]


def says_threads(name: str, value: Any) -> bool:
    """Whether a variable says what the fact `threads` does, is what the drivers set themselves, or decides nothing."""
    return THREADS.fullmatch(name) is not None or (name, value) == OWN or name.removeprefix("variables.") in UNSEEN


def machine_of(environment: Mapping[str, Any]) -> str | None:
    """Return the name of the machine, as a store has it; None where no fact of its hardware is known."""
    try:
        hardware = hardware_of([environment])
    except UsageError:
        return None
    return name_of(hardware) if hardware else None


# How a fact reads in a name, the ones that people ask for first; any other is `name value`.
WORDS = (
    "model", "weights", "platform", "device", "precision", "dtype", "compile", "openvino_frontend", "attention",
    "threads", "gradients", "options",
)  # fmt: skip
ALWAYS = ("platform", "precision")


def names(configurations: Iterable[Configuration]) -> dict[str, str]:
    """Return a name for each configuration, by id: what it computes with, and what tells it from the others at hand.

    No two names are alike: where no fact that people ask for tells two apart, others are named until one does. Options
    are long, and stand only where the rest of a name is not enough.
    """
    found = {one.id: one for one in configurations}
    facts = {key: described(one) for key, one in found.items()}
    telling, rest = (
        telling_facts([{name: value for name, value in said.items() if name not in out} for said in facts.values()])
        for out in ((), ("options",))
    )
    brief = {key: reading(said, rest) for key, said in facts.items()}
    alike = Counter(brief.values())
    return {
        key: brief[key] if brief[key] and alike[brief[key]] == 1 else reading(said, telling) or key
        for key, said in facts.items()
    }


def reading(facts: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return facts as they read in a name."""
    return ", ".join(word for name in names if (word := word_of(name, facts.get(name))))


def described(configuration: Configuration) -> dict[str, Any]:
    """Return the facts that a name is made of: those of the configuration, the model by its name."""
    facts = {name: short(value) for name, value in configuration.facts.items()}
    if facts.get("dtype") == facts.get("precision"):
        facts.pop("dtype", None)
    if facts.get("device") in (facts.get("platform"), "cpu"):
        facts.pop("device", None)
    compilers = [COMPILER.sub("", text) for text in facts.get("options") or () if COMPILER.match(text)]
    if "compile" in facts:
        facts["compile"] = (compilers[0] if compilers else "compiled") if facts["compile"] else ""
    facts["options"] = [text for text in facts.get("options") or () if not COMPILER.match(text)]
    return {**facts, "model": configuration.model, DIGEST: facts.get(DIGEST)}


def telling_facts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the facts that tell all rows apart: ALWAYS, and no more others than it takes."""
    every = sorted({name for row in rows for name in row}, key=place_of)
    differing = [name for name in every if len({repr(row.get(name)) for row in rows}) > 1]

    def kinds(keys: Sequence[str]) -> int:
        return len({tuple(repr(row.get(key)) for key in keys) for row in rows})

    keys = differing
    for key in reversed(differing):
        rest = [other for other in keys if other != key]
        if kinds(rest) == kinds(keys) and key not in ("model", *ALWAYS):
            keys = rest
    return sorted({*keys, *ALWAYS}, key=place_of)


def place_of(name: str) -> tuple[int, str]:
    """Return where a fact stands in a name."""
    return (
        WORDS.index(name) if name in WORDS else len(WORDS) + (name != "machine") + name.startswith("packages"),
        name,
    )


def word_of(name: str, value: Any) -> str:
    """Return a fact as it reads in a name; nothing for one that is not known."""
    if value in UNSET:
        return ""
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    if name == "model":
        return harmless(text.rpartition("/")[2])
    if name == "threads":
        return f"{text} thread{'' if value == 1 else 's'}"
    if name == "gradients":
        return "with gradients" if value else "without gradients"
    phrases = {"weights": f"{text} weights", "dtype": f"weights in {text}", "attention": f"{text} attention"}
    if name in (*WORDS, "machine"):
        return harmless(phrases.get(name, text))
    return harmless(f"{name.removeprefix('packages.')} {text}")
