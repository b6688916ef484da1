"""What a backend must keep to: a suite that its author runs in tests of his own, where the device is.

A test of a backend that is a package of its own:

    from fmbench.testing import check_backend

    def test_contract():
        check_backend(MyBackend)
"""

import copy
import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

from fmbench.backend import Backend, Candidate, Forward, Memory
from fmbench.command_line import CommandLine
from fmbench.counters import Counter
from fmbench.errors import FmbenchError, UsageError
from fmbench.measure import Phase
from fmbench.options import SpeedArguments, build_parser, parse_arguments
from fmbench.variants import override

PROGRAM = "driver"
SIZES = ["--input_sizes", "16", "--batch_sizes", "2", "--reps", "1"]
SHAPES = ((2, 16), (3, 24))  # rows, tokens
CALLS, TRIES = 20, 3
SPREAD = 0.2  # of the weights: wide enough that a token that is masked out matters
LEAST_COSINE = 0.99  # of a token's vectors there and on the CPU: 16 bits stay above, a wrong graph far below
VOCABULARY = 100
FLAGS = ("single_shape", "builds_model", "yields", "always_compiles", "runs_torch", "inference_mode", "in_subprocess",
         "numbered")  # fmt: skip
TEXTS = ("distributions", "options", "synonyms")


def check_backend(cls: type[Backend], *words: str) -> None:
    """Hold a backend against its contract; `words` are what its command line needs, as a user types them.

    A model of two small layers runs on the device. Raises AssertionError, which says what is broken, and PlatformError
    where the platform is not usable here.
    """
    check_class(cls)
    cls.require()
    command = ["--platform", cls.name, "--model_name", "tiny", "--weights", "random", *SIZES, *words]
    arguments = parse_arguments(command, PROGRAM)
    check_refusal(cls, arguments)
    check_candidates(cls, command)
    import torch

    with torch.no_grad():
        check_run(cls, arguments)


def held(condition: object, rule: str) -> None:
    """Raise AssertionError that says which rule is broken."""
    if not condition:
        raise AssertionError(rule)


def check_class(cls: type[Backend]) -> None:
    """Check what is known before anything is made: names, flags, and whether the platform says why it is not usable."""
    held(isinstance(cls, type) and issubclass(cls, Backend), f"{cls!r} is no subclass of fmbench.backend.Backend")
    held(not cls.__abstractmethods__, f"does not define {', '.join(sorted(cls.__abstractmethods__))}")
    for name in ("name", "summary"):
        text = getattr(cls, name, None)
        held(isinstance(text, str) and text and "\n" not in text, f"{name}: is one line, not {text!r}")
    held(not set(cls.name) & set(" :=@\"'"), f"name: {cls.name!r} cannot be written on a command line")
    for name in FLAGS:
        held(isinstance(getattr(cls, name), bool), f"{name}: is true or false")
    for name in TEXTS:
        value = getattr(cls, name)
        held(isinstance(value, tuple) and all(isinstance(one, str) for one in value), f"{name}: is a tuple of texts")
    reason = cls.unavailable()
    held(reason is None or (isinstance(reason, str) and reason), "unavailable: returns None, or why not")
    for name, found in (("disturbances", cls.disturbances()), ("computes_fast", cls.computes_fast())):
        held(isinstance(found, list) and all(isinstance(one, str) for one in found),
             f"{name}: returns a list of texts")  # fmt: skip


def check_refusal(cls: type[Backend], arguments: SpeedArguments) -> None:
    """Check that the platform takes its own command line, and refuses an option that it does not have."""
    cls().check(arguments)
    unknown = {**arguments.options, "platform": {**arguments.options["platform"], "no such option": "1"}}
    try:
        cls().check(dataclasses.replace(arguments, options=unknown))
    except UsageError:
        return
    raise AssertionError("check: an option of --platform: that is in no `options` is refused with a UsageError")


def check_candidates(cls: type[Backend], command: Sequence[str]) -> None:
    """Check that every candidate is a command line that the platform takes."""
    platform = cls()
    found = platform.candidates(parse_arguments(command, PROGRAM))
    held(isinstance(found, list) and all(isinstance(one, Candidate) for one in found),
         "candidates: returns a list of Candidate")  # fmt: skip
    held(len({one.name for one in found}) == len(found), "candidates: each has a name of its own")
    line = CommandLine.parse(command, build_parser(PROGRAM).flags)
    for one in found:
        held(one.name and one.reason, f"candidates: {one} has a name and a reason")
        try:
            arguments = override(line, one.overrides, PROGRAM, say=lambda _: None)
            cls().check(arguments)
        except FmbenchError as error:
            raise AssertionError(f"candidates: {one.name} is refused: {error}") from error


def check_run(cls: type[Backend], arguments: SpeedArguments) -> None:
    """Check what the platform computes, and what it says of itself, before, while and after it runs."""
    platform, other = cls(), cls()
    platform.setup(arguments)
    check_facts(platform)
    model, second = (tiny_model(seed) if cls.builds_model else None for seed in (0, 1))
    reference = copy.deepcopy(model)
    forward = platform.prepare(model, arguments.evaluated())
    named = platform.computes_in("float32")
    held(isinstance(named, str) and "torch" not in named, f"computes_in: returns a name such as bfloat16: {named!r}")
    platform.reset_memory()
    before = platform.energy()
    for shape in SHAPES[:1] if cls.single_shape else SHAPES:
        check_shape(platform, forward, reference, shape)
    check_counters(platform, before)
    platform.recover()
    batch = tokens(SHAPES[0], padded=False)
    known = read(platform, forward, batch)
    if cls.builds_model and not cls.single_shape and cls.in_subprocess:  # --vs has two in one process
        other.setup(arguments)
        read(other, other.prepare(second, arguments.evaluated()), batch)
        held(close(known, read(platform, forward, batch)), "two of the class in one process disturb each other")


def check_facts(platform: Backend) -> None:
    """Check that facts are JSON, and the same when they are asked for again."""
    found = platform.facts()
    held(is_json(found), "facts: returns a dictionary of JSON values")
    held(platform.facts() == found, "facts: are the same each time; what changes is no fact")


def check_shape(platform: Backend, forward: Forward, reference: Any, shape: tuple[int, int]) -> None:
    """Check one shape: placing, one-off phases, the output, and that a wait waits."""
    batch = tokens(shape, padded=True)
    kept = {name: tensor.clone() for name, tensor in batch.items()}
    placed = platform.place(batch)
    same = batch.keys() == kept.keys() and all(bool((batch[name] == kept[name]).all()) for name in kept)
    held(same, "place: leaves the batch on the host as it was")
    held(placed.keys() == batch.keys(), "place: keeps every input")
    phases = platform.warm_up(forward, placed)
    fine = isinstance(phases, list) and all(isinstance(one, Phase) and one.seconds >= 0 for one in phases)
    held(fine, "warm_up: returns a list of Phase")
    output = forward(platform.place(batch))
    platform.synchronize()
    platform.observe()
    held(platform.graph() in (None, "static", "dynamic"), "graph: is static, dynamic or None")
    if reference is None:
        return
    held(hasattr(output, "last_hidden_state"), "prepare: the output has last_hidden_state, which encoding reads")
    expected = reference(**batch).last_hidden_state
    held(close(host(output), expected, batch["attention_mask"].bool()), "prepare: computes what torch does on the CPU, "
         "padding left out")  # fmt: skip
    held(min(pending(platform, forward, batch) for _ in range(TRIES)) < 0.5, "synchronize: waits until all is done")


def check_counters(platform: Backend, before: Counter) -> None:
    """Check what is counted: memory, energy, free bytes; and the facts that only a run tells."""
    held(is_json(platform.model_facts()), "model_facts: returns a dictionary of JSON values")
    memory, free, after = platform.memory(), platform.free_bytes(), platform.energy()
    held(memory is None or (isinstance(memory, Memory) and is_count(memory.peak)), "memory: returns Memory, or None")
    held(free is None or is_count(free), "free_bytes: returns bytes, or None")
    held(isinstance(before, Counter) and isinstance(after, Counter), "energy: returns a Counter")
    if before.joules is None or after.joules is None:
        held(after.reason, "energy: says why there is no reading")
    else:
        held(after.joules >= before.joules, "energy: only grows")


def pending(platform: Backend, forward: Forward, batch: dict[str, Any]) -> float:
    """Return the share of the time of some calls that was still to come when `synchronize` returned."""
    start = time.perf_counter()
    for _ in range(CALLS):
        output = forward(platform.place(batch))
    platform.synchronize()
    waited = time.perf_counter()
    host(output)
    ready = time.perf_counter()
    host(output)
    copying = time.perf_counter() - ready
    return (ready - waited - copying) / (ready - start)


def tiny_model(seed: int) -> Any:
    """Return a small model of random weights, in float32 on the CPU."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=SPREAD,
    )
    return BertModel(config).eval()


def tokens(shape: tuple[int, int], padded: bool) -> dict[str, Any]:
    """Return a batch on the host; where it is `padded`, so is the second half of its last row."""
    import torch

    ids = torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(shape[1]))
    mask = torch.ones(shape, dtype=torch.int64)
    if padded:
        mask[-1, shape[1] // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def read(platform: Backend, forward: Forward, batch: dict[str, Any]) -> Any:
    """Return what a call computes, on the host; None where no model runs."""
    output = forward(platform.place(batch))
    platform.synchronize()
    return host(output) if hasattr(output, "last_hidden_state") else None


def host(output: Any) -> Any:
    """Return the last hidden states (rows, tokens, d) on the host, in memory of their own."""
    return output.last_hidden_state.detach().to("cpu", copy=True).float()


def close(found: Any, expected: Any, mask: Any = None) -> bool:
    """Whether vectors have the same shape and direction, those of padding left out."""
    import torch

    if found is None or found.shape != expected.shape:
        return found is expected
    cosines = torch.cosine_similarity(found.float(), expected.float(), dim=-1)
    return bool((cosines if mask is None else cosines[mask]).min() >= LEAST_COSINE)  # false for NaN


def is_json(value: Any) -> bool:
    """Whether a value is a dictionary of JSON values by text."""
    try:
        return isinstance(value, dict) and json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, zero or above."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
