"""What a backend must keep to: a suite that its author runs in tests of his own, where the device is.

A test of a backend that is a package of its own:

    from fmbench.testing import check_backend

    def test_contract():
        check_backend(MyBackend)
"""

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fmbench import children, class_attributes, outputs
from fmbench.answers import AnswerError
from fmbench.backend import Backend, Forward
from fmbench.command_line import CommandLine
from fmbench.counters import Counter, is_count, is_peak
from fmbench.errors import FmbenchError, PlatformError, UsageError, first_line
from fmbench.facts import fault_of
from fmbench.measure import is_phase
from fmbench.model import held_bytes
from fmbench.options import SpeedArguments, build_parser, parse_arguments
from fmbench.variants import override

PROGRAM = "driver"
SIZES = ["--input_sizes", "16", "--batch_sizes", "2", "--reps", "1"]
SHAPES = ((2, 16), (3, 24))  # rows, tokens
CALLS, TRIES = 20, 3
MANY = 1000  # batches in bulk
SPREAD = 0.2  # of the weights: wide enough that a token that is masked out matters
LEAST_COSINE = 0.99  # of a token's vectors there and on the CPU: 16 bits stay above, a wrong graph far below
LENGTH = 0.005  # by which the lengths of those vectors may differ: what 16 bits do to them averages out
VOCABULARY = 100
RAN = "ran to its end"


def check_backend(cls: type[Backend], *words: str) -> None:
    """Hold a backend against its contract; `words` are what its command line needs, as a user types them.

    A model of two small layers runs on the device. Raises AssertionError, which says what is broken, and PlatformError
    where the platform is not usable here.
    """
    check_class(cls)
    cls.require()
    Watched(cls).choices()
    command = ["--platform", cls.name, "--model_name", "tiny", "--weights", "random", *SIZES, *words]
    arguments = parse_arguments(command, PROGRAM)
    check_refusal(cls, arguments)
    check_candidates(cls, command)
    import torch

    with torch.no_grad():
        check_run(cls, arguments)


class BrokenRuleError(AssertionError):
    """A rule that a backend does not keep."""


def held(condition: object, rule: str) -> None:
    """Raise BrokenRuleError that says which rule is broken."""
    if not condition:
        raise BrokenRuleError(rule)


class Watched:
    """A backend, or its class: whatever one of its methods raises is a broken rule that names the method."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        return functools.partial(watched, name, found) if callable(found) else found


def watched(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns. A PlatformError of `setup` is none of the backend's faults, and goes on."""
    try:
        return call(*arguments)
    except Exception as error:
        if isinstance(error, AnswerError):
            raise BrokenRuleError(f"{name}: {error.rule}") from error
        if isinstance(error, BrokenRuleError) or (name == "setup" and isinstance(error, PlatformError)):
            raise
        raised = error.__cause__ if isinstance(error, PlatformError) and error.__cause__ is not None else error
        raise BrokenRuleError(f"{name}: raises {type(raised).__name__}: {first_line(raised)}") from error


def check_class(cls: type[Backend]) -> None:
    """Check what is known before anything is made: names, flags, and whether the platform says why it is not usable."""
    held(isinstance(cls, type) and issubclass(cls, Backend), f"{cls!r} is no subclass of fmbench.backend.Backend")
    fault = class_attributes.fault_of(cls)
    held(fault is None, str(fault))
    reason = Watched(cls).unavailable()
    held(reason is None or (isinstance(reason, str) and reason), "unavailable: returns None, or why not")
    for name in ("disturbances", "computes_fast"):
        getattr(Watched(cls), name)()


def check_refusal(cls: type[Backend], arguments: SpeedArguments) -> None:
    """Check that the platform takes its own command line, and refuses an option that it does not have."""
    Watched(cls()).check(arguments)
    Watched(cls()).fixed_shapes(arguments)
    Watched(cls()).compiles(arguments)
    unknown = {**arguments.options, "platform": {**arguments.options["platform"], "no such option": "1"}}
    try:
        cls().check(dataclasses.replace(arguments, options=unknown))
    except UsageError:
        return
    raise BrokenRuleError("check: an option of --platform: that is in no `options` is refused with a UsageError")


def check_candidates(cls: type[Backend], command: Sequence[str]) -> None:
    """Check that every candidate is a command line that the platform takes."""
    found = Watched(cls()).candidates(parse_arguments(command, PROGRAM))
    line = CommandLine.parse(command, build_parser(PROGRAM).flags)
    for one in found:
        held(one.name and one.reason, f"candidates: {one} has a name and a reason")
        try:
            arguments = override(line, one.overrides, PROGRAM, say=lambda _: None)
            cls().check(arguments)
        except Exception as error:
            said = str(error) if isinstance(error, FmbenchError) else f"{type(error).__name__}: {first_line(error)}"
            raise BrokenRuleError(f"candidates: {one.name} is refused: {said}") from error


def check_run(cls: type[Backend], arguments: SpeedArguments) -> None:
    """Check what the platform computes, and what it says of itself, before, while and after it runs."""
    platform, other = Watched(cls()), Watched(cls())
    platform.setup(arguments)
    check_facts(platform)
    model, second = (tiny_model(seed) if cls.builds_model else None for seed in (0, 1))
    reference = copy.deepcopy(model)
    forward = prepared(platform, model, arguments)
    check_identity(platform)
    platform.computes_in("float32")
    platform.reset_memory()
    before = platform.energy()
    for shape in SHAPES[:1] if cls.single_shape else SHAPES:
        check_shape(platform, forward, reference, shape)
    check_counters(platform, before, held_bytes(reference) if reference is not None else 0)
    platform.recover()
    batch = tokens(SHAPES[0], padded=False)
    known = read(platform, forward, batch)
    streams = platform.streams(MANY)
    same = all(
        close(read(platform, functools.partial(watched, "streams: a call", one), batch), known) for one in streams
    )
    held(same, "streams: each computes what the call of prepare does")
    check_program(platform.program())
    if cls.builds_model and not cls.single_shape and cls.in_subprocess:  # --vs has two in one process
        other.setup(arguments)
        read(other, prepared(other, second, arguments), batch)
        held(close(known, read(platform, forward, batch)), "two of the class in one process disturb each other")


def prepared(platform: Any, model: Any, arguments: SpeedArguments) -> Forward:
    """Return the call that a platform makes of a model."""
    call = platform.prepare(model, arguments.evaluated())
    return functools.partial(watched, "prepare: its call", call)


def check_program(program: str | None) -> None:
    """Check that the lines run by themselves, in a process of their own, and define what is called."""
    if program is None:
        return
    called = f"assert callable(run) and callable(run_all)\nprint({RAN!r})"
    done = children.run(children.python("-c", f"{program}\n{called}"))
    why = next(reversed(done.stderr.split("\n")[:-1]), f"exit code {done.returncode}")
    held(done.stdout.endswith(f"{RAN}\n"), f"program: its lines run by themselves, and define run and run_all: {why}")


def check_identity(platform: Any) -> None:
    """Check that what changes a vector is the same when it is asked for again."""
    found = platform.identity()
    held(platform.identity() == found, "identity: is the same each time; a cache of vectors is found by it")


def check_facts(platform: Any) -> None:
    """Check that facts are the platform's to say, and the same when they are asked for again."""
    check_own(platform.facts(), "facts")
    held(platform.facts() == platform.facts(), "facts: are the same each time; what changes is no fact")


def check_own(found: Any, method: str) -> None:
    """Check that facts are a platform's to say."""
    fault = fault_of(found)
    held(fault is None, f"{method}: {fault}")


def check_shape(platform: Any, forward: Forward, reference: Any, shape: tuple[int, int]) -> None:
    """Check one shape: placing, one-off phases, the output, and that a wait waits."""
    batch = tokens(shape, padded=True)
    kept = {name: tensor.clone() for name, tensor in batch.items()}
    placed = platform.place(batch)
    same = batch.keys() == kept.keys() and all(bool((batch[name] == kept[name]).all()) for name in kept)
    held(same, "place: leaves the batch on the host as it was")
    held(placed.keys() == batch.keys(), "place: keeps every input")
    phases = platform.warm_up(forward, placed)
    held(isinstance(phases, list) and all(map(is_phase, phases)), "warm_up: returns a list of Phase, each named by one "
         "word, with its seconds")  # fmt: skip
    output = forward(platform.place(batch))
    platform.synchronize()
    watched("prepare: its call", outputs.check, platform, output, shape[:1], False)  # values: below
    platform.observe()
    held(platform.graph() in (None, "static", "dynamic"), "graph: is static, dynamic or None")
    if reference is None:
        return
    held(hasattr(output, "last_hidden_state"), "prepare: the output has last_hidden_state, which encoding reads")
    mask = batch["attention_mask"].bool()
    held(close(host(output), reference(**batch).last_hidden_state, mask), "prepare: computes what torch does on the "
         "CPU, padding left out")  # fmt: skip
    held(bool(host(output).isfinite().all()), "prepare: returns a number for each token of padding too: pooling "
         "multiplies it by 0, and NaN stays NaN")  # fmt: skip
    check_others(platform, forward, reference, batch)
    held(min(pending(platform, forward, batch) for _ in range(TRIES)) < 0.5, "synchronize: waits until all is done")


def check_others(platform: Any, forward: Forward, reference: Any, batch: dict[str, Any]) -> None:
    """Check that what was computed once is not the answer to what a weak key, such as a sum, takes for the same."""
    for what, other in confusable(batch).items():
        expected, mask = reference(**other).last_hidden_state, other["attention_mask"].bool()
        held(close(read(platform, forward, other), expected, mask), f"prepare: computes each batch of a shape anew, "
             f"one with {what} too")  # fmt: skip
    expected = reference(**other).last_hidden_state
    for name, tensor in batch.items():
        tensor.copy_(other[name])
    held(close(read(platform, forward, batch), expected, mask), "prepare: computes each batch of a shape anew, one "
         "whose tensors were written over too")  # fmt: skip


def confusable(batch: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return batches of a batch's shape by what they are: each is the same as it in something, and not in all."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    one = ids.clone()
    one[:, ids.shape[1] // 4] = (one[:, ids.shape[1] // 4] + 1) % VOCABULARY
    found = {
        "the same mask": (tokens(ids.shape, padded=True, seed=1)["input_ids"], mask),
        "the same tokens in another order": (ids.flip(1), mask),
        "the same rows in another order": (ids.flip(0), mask.flip(0)),
        "one other token a row": (one, mask),
        "the same tokens under another mask": (ids, mask.flip(0)),
    }
    return {what: {"input_ids": tokens, "attention_mask": seen} for what, (tokens, seen) in found.items()}


def check_counters(platform: Any, before: Counter, weights: int) -> None:
    """Check what is counted: memory, energy, free bytes; and the facts that only a run tells."""
    check_own(platform.model_facts(), "model_facts")
    held(platform.model_facts() == platform.model_facts(), "model_facts: are the same each time while nothing runs")
    memory, free, after = platform.memory(), platform.free_bytes(), platform.energy()
    held(memory is None or is_peak(memory, platform.builds_model, weights),
         "memory: returns Memory, or None: the bytes of a peak, the weights among them")  # fmt: skip
    held(free is None or is_count(free), "free_bytes: returns bytes, or None")
    held(isinstance(before, Counter) and isinstance(after, Counter), "energy: returns a Counter")
    if before.joules is None or after.joules is None:
        held(after.reason, "energy: says why there is no reading")
    else:
        held(after.source == before.source, "energy: the source is the same each time")
        held(after.joules >= before.joules, "energy: only grows")


def pending(platform: Any, forward: Forward, batch: dict[str, Any]) -> float:
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


def tokens(shape: tuple[int, int], padded: bool, seed: int = 0) -> dict[str, Any]:
    """Return a batch on the host; where it is `padded`, so is the second half of its last row."""
    import torch

    ids = torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(shape[1] + seed))
    mask = torch.ones(shape, dtype=torch.int64)
    if padded:
        mask[-1, shape[1] // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def read(platform: Any, forward: Forward, batch: dict[str, Any]) -> Any:
    """Return what a call computes, on the host; None where no model runs."""
    output = forward(platform.place(batch))
    platform.synchronize()
    return host(output) if hasattr(output, "last_hidden_state") else None


def host(output: Any) -> Any:
    """Return the last hidden states (rows, tokens, d) on the host, in memory of their own."""
    return watched("prepare: the output", lambda: output.last_hidden_state.detach().to("cpu", copy=True).float())


def close(found: Any, expected: Any, mask: Any = None) -> bool:
    """Whether vectors have the same shape, direction and length, those of padding left out."""
    import torch

    if found is None or found.shape != expected.shape:
        return found is expected
    found, expected = (one.float() if mask is None else one.float()[mask] for one in (found, expected))
    cosines, lengths = torch.cosine_similarity(found, expected, dim=-1), found.norm(dim=-1) / expected.norm(dim=-1)
    return bool(cosines.min() >= LEAST_COSINE and (lengths - 1).abs().max() <= LENGTH)  # false for NaN
