"""Every backend that can be made here keeps its contract, and the suite finds each rule that is broken."""

import itertools
import time
from types import SimpleNamespace

import pytest
import torch

from fmbench.backend import Backend, Candidate, Memory
from fmbench.backends import cpu as cpu_module
from fmbench.backends import instructions
from fmbench.backends.accelerator import XpuBackend
from fmbench.backends.cpu import CpuBackend
from fmbench.backends.null import NullBackend
from fmbench.backends.onnxruntime import OnnxruntimeBackend
from fmbench.backends.openvino import OpenvinoBackend
from fmbench.counters import Counter
from fmbench.errors import PlatformError
from fmbench.measure import Phase
from fmbench.options import parse_arguments
from fmbench.testing import check_backend, close, confusable, tiny_model, tokens

pytestmark = pytest.mark.slow


class FakeAccelerator(XpuBackend):
    """The generic accelerator, whose device is the CPU."""

    name = "fake-accelerator"
    device_type = "cpu"

    @classmethod
    def module(cls):
        """Stand in for torch.xpu."""
        return SimpleNamespace(is_available=lambda: True, synchronize=lambda: None, max_memory_allocated=lambda: 2**20)

    @classmethod
    def computes_fast(cls):
        """Return what the fake multiplies."""
        return ["bfloat16", "int8"]


@pytest.mark.parametrize("cls", [CpuBackend, NullBackend, FakeAccelerator])
def test_our_backends_keep_the_contract(cls) -> None:
    check_backend(cls)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--platform:frontend", "convert_model")])
def test_openvino_keeps_the_contract(words) -> None:
    pytest.importorskip("openvino")
    check_backend(OpenvinoBackend, *words)


@pytest.mark.parametrize("cls", [FakeAccelerator, CpuBackend, NullBackend, OpenvinoBackend])
def test_candidates(cls, monkeypatch) -> None:
    monkeypatch.setattr(instructions, "cpuinfo", lambda key: "avx2 amx_bf16" if key == "flags" else None)
    monkeypatch.setattr(cpu_module.shutil, "which", lambda name: f"/bin/{name}")
    words = f"--platform {cls.name} --model_name m --input_sizes 8 --batch_sizes 1".split()
    found = {one.name: one.overrides for one in cls().candidates(parse_arguments(words))}
    assert found == {
        "fake-accelerator": {
            "float32": "--model:dtype@ torch.float32", "bfloat16": "--model:dtype@ torch.bfloat16",
        },
        "cpu": {
            "float32": "--model:dtype@ torch.float32", "bfloat16": "--model:dtype@ torch.bfloat16",
            "inductor": "--model:dtype@ torch.float32 --compile:backend inductor --compile:dynamic@ True",
        },
        "null": {},
        "openvino": {
            "float32": "--compile:options:config:INFERENCE_PRECISION_HINT f32",
            "bfloat16": "--compile:options:config:INFERENCE_PRECISION_HINT bf16",
        },
    }[cls.name]  # fmt: skip
    monkeypatch.setattr(instructions, "cpuinfo", lambda key: "avx2" if key == "flags" else None)
    if cls is not FakeAccelerator:
        assert "bfloat16" not in {one.name for one in cls().candidates(parse_arguments(words))}


def test_int8_is_proposed_where_the_cpu_multiplies_it_and_openvino_has_texts(monkeypatch) -> None:
    words = ["--platform", "openvino", "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1"]
    calibrated = parse_arguments([*words, "--platform:calibration", "my texts.txt"])
    for flags, expected in (("avx512_vnni", True), ("avx2", False)):
        monkeypatch.setattr(instructions, "cpuinfo", lambda key, flags=flags: flags if key == "flags" else None)
        found = {one.name: one.overrides for one in OpenvinoBackend().candidates(calibrated)}
        assert found.get("int8") == (
            "--platform:quantize int8 --platform:calibration 'my texts.txt'" if expected else None
        )
        assert "int8" not in {one.name for one in OpenvinoBackend().candidates(parse_arguments(words))}
        for cls in (CpuBackend, OnnxruntimeBackend):
            assert ("int8" in {one.name for one in cls().candidates(parse_arguments(words))}) == expected


class Sound(Backend):
    """A backend that does nothing of its own."""

    name = "sound"
    summary = "keeps every rule"

    @classmethod
    def unavailable(cls):
        """Return None."""
        return None


def test_a_sound_backend_passes_and_one_that_is_not_usable_says_so() -> None:
    check_backend(Sound)
    absent = type("Absent", (Sound,), {"unavailable": classmethod(lambda cls: "no device")})
    with pytest.raises(PlatformError, match="sound is not usable here: no device"):
        check_backend(absent)


def output(change):
    """Return a `prepare` whose output is changed."""

    def prepare(self, model, arguments):
        forward = Backend.prepare(self, model, arguments)
        return lambda batch: change(forward(batch))

    return prepare


def changed(add):
    return output(lambda found: SimpleNamespace(last_hidden_state=add(found.last_hidden_state)))


def without_mask(self, model, arguments):
    forward = Backend.prepare(self, model, arguments)
    return lambda batch: forward({"input_ids": batch["input_ids"]})


def nothing_in_padding(self, model, arguments):
    forward = Backend.prepare(self, model, arguments)

    def call(batch):
        hidden = forward(batch).last_hidden_state
        return SimpleNamespace(last_hidden_state=hidden.masked_fill(batch["attention_mask"][..., None] == 0, torch.nan))

    return call


def stale(self, model, arguments):
    forward, known = Backend.prepare(self, model, arguments), {}
    return lambda batch: known.setdefault(tuple(batch["input_ids"].shape), forward(batch))


def remembering(key):
    """Return a `prepare` whose call keeps its answers, by what a key makes of token ids and mask."""

    def prepare(self, model, arguments):
        forward, known = Backend.prepare(self, model, arguments), {}

        def call(batch):
            found = (tuple(batch["input_ids"].shape), repr(key(batch["input_ids"], batch["attention_mask"])))
            if found not in known:
                known[found] = forward(batch)
            return known[found]

        return call

    return prepare


def late(self, model, arguments):
    """Return a call that computes when its output is read, on a device that takes 5 ms for each."""
    forward, asked = Backend.prepare(self, model, arguments), []

    class Later:
        def __init__(self, batch):
            asked.append((self, batch))

        @property
        def last_hidden_state(self):
            while asked:
                output, batch = asked.pop(0)
                time.sleep(0.005)
                with torch.no_grad():
                    output.found = forward(batch).last_hidden_state
            return self.found

    return Later


def shared(self, model, arguments):
    type(self).latest = model
    return lambda batch: type(self).latest(**batch)


def spoilt(self, batch):
    batch["attention_mask"][:] = 1
    return batch


def never_twice(self):
    self.asked = getattr(self, "asked", 0) + 1
    return {"device": "x", "asked": self.asked}


def counting(self):
    self.asked = getattr(self, "asked", 0) + 1
    return {"precision": f"int{self.asked}"}


def falling(self):
    self.joules = getattr(self, "joules", 9.0) - 1
    return Counter(self.joules, "x", None)


def candidate(overrides="--threads 1", name="a", reason="why"):
    return Candidate(name, overrides, reason)


TICKS = itertools.count()
BROKEN = {
    "name: 'a b' cannot be written": {"name": "a b"},
    "summary: is one line": {"summary": "two\nlines"},
    "single_shape: is true or false": {"single_shape": "no"},
    "options: is a tuple of texts": {"options": "frontend"},
    "length_step: is a whole number, at least 1": {"length_step": 0},
    "short_text: is a whole number, at least 0": {"short_text": -3},
    "choices: returns a list": {"choices": classmethod(lambda cls: "CPU")},
    "fixed_shapes: returns true or false": {"fixed_shapes": lambda self, arguments: None},
    "identity: returns a dictionary of JSON": {"identity": lambda self: {"file": torch.device("cpu")}},
    "identity: is the same each time": {"identity": never_twice},
    "unavailable: returns None": {"unavailable": classmethod(lambda cls: True)},
    "disturbances: returns a list": {"disturbances": classmethod(lambda cls: None)},
    "check: an option": {"check": lambda self, arguments: None},
    "candidates: returns a list": {"candidates": lambda self, arguments: None},
    "candidates: returns a list of Candidate, each with a name in one line and overrides of its own$": {
        "candidates": lambda self, arguments: [candidate(), candidate()]
    },
    "candidates: .* has a name and a reason": {"candidates": lambda self, arguments: [candidate(reason="")]},
    "candidates: a is refused: .*No closing quotation": {
        "candidates": lambda self, arguments: [candidate("--threads '1")]
    },
    "candidates: a is refused: .*--thraeds": {"candidates": lambda self, arguments: [candidate("--thraeds 1")]},
    "facts: returns a dictionary of JSON": {"facts": lambda self: {"device": torch.device("cpu")}},
    "facts: are the same each time": {"facts": never_twice},
    "^facts: cpu, platform: fmbench says this; take": {
        "facts": lambda self: {"platform": "cuda", "cpu": "x", "device": "y"}
    },
    "^facts: simulated is said in words": {"facts": lambda self: {"simulated": True}},
    "simulated is said in words, or None: not ''": {"facts": lambda self: {"simulated": ""}},
    "^facts: device is said in words, or None: not 5": {"facts": lambda self: {"device": 5}},
    "^facts: device_name is said in words": {"facts": lambda self: {"device": "x", "device_name": ["x"]}},
    "computes_in: returns a name": {"computes_in": lambda self, dtype: "torch.bfloat16"},
    "^computes_in: returns a name such as bfloat16$": {"computes_in": lambda self, dtype: "bananas"},
    "candidates: returns a list of Candidate, each": {"candidates": lambda self, arguments: ["float16"]},
    "^program: returns Python lines as one text": {"program": lambda self: "def run(batch:\n"},
    "program: returns Python lines as one text": {"program": lambda self: 5},
    "place: leaves the batch": {"place": spoilt},
    "prepare: returns the call": {"prepare": lambda self, model, arguments: None},
    "place: returns the batch": {"place": lambda self, batch: None},
    r"_place_model\(\) returns the model": {"_place_model": lambda self, model: None},
    "place: keeps every input": {"place": lambda self, batch: {"input_ids": batch["input_ids"]}},
    "warm_up: returns a list of Phase": {"warm_up": lambda self, forward, batch: None},
    "warm_up: returns": {"warm_up": lambda self, forward, batch: [Phase("deploy", -1.0)]},
    "warm_up: .* named by one word": {"warm_up": lambda self, forward, batch: [Phase("deploy all", 1.0)]},
    "warm_up: returns a list of Phase, each": {"warm_up": lambda self, forward, batch: [Phase("deploy", True)]},
    "warm_up: returns a list of Phase, .*": {"warm_up": lambda self, forward, batch: [Phase("deploy", 1e30)]},
    "warm_up: .* its seconds": {"warm_up": lambda self, forward, batch: [Phase("deploy", "1 s")]},
    "graph: is static": {"graph": lambda self: "frozen"},
    "the output has last_hidden_state": {"prepare": output(lambda found: found.last_hidden_state)},
    "computes what torch does": {"prepare": changed(lambda hidden: hidden.flip(-1))},
    "computes what torch does on the": {"prepare": changed(lambda hidden: hidden * float("nan"))},
    "computes what torch .* padding left out": {"prepare": without_mask},
    "^prepare: returns a number for each token of padding too": {"prepare": nothing_in_padding},
    "computes what torch does on": {"prepare": changed(lambda hidden: hidden * 1.01)},
    "prepare: computes each batch of a shape anew, one with the same mask": {"prepare": stale},
    "anew, one with the same tokens in another order": {"prepare": remembering(lambda ids, mask: int(ids.sum()))},
    "anew, one with the same tokens in another .*": {"prepare": remembering(lambda ids, mask: ids.sum(1).tolist())},
    "anew, one with the same rows in another order": {"prepare": remembering(lambda ids, mask: ids.sum(0).tolist())},
    "anew, one with one other token": {
        "prepare": remembering(lambda ids, mask: (ids[:, :2].tolist(), ids[:, -2:].tolist(), mask.tolist()))
    },
    "anew, one with the same tokens under another mask": {"prepare": remembering(lambda ids, mask: ids.tolist())},
    "anew, one whose tensors were written over": {"prepare": remembering(lambda ids, mask: (id(ids), id(mask)))},
    "synchronize: waits": {"prepare": late},
    "streams: returns a list": {"streams": lambda self, batches: None},
    "streams: each computes": {"streams": lambda self, batches: [lambda batch: SimpleNamespace()]},
    "two of the class in one process": {"prepare": shared},
    "model_facts: returns": {"model_facts": lambda self: {1: "x"}},
    "model_facts: threads: fmbench says this": {"model_facts": lambda self: {"threads": 64}},
    "model_facts: precision is said in words": {"model_facts": lambda self: {"precision": 32}},
    "^facts: precision is said in words": {"facts": lambda self: {"precision": ""}},
    "^facts: precision is said in words, or None": {"facts": lambda self: {"precision": "int8\nFMWORK RES"}},
    "^model_facts: are the same each time": {"model_facts": counting},
    "^compiles: returns true, false or None": {"compiles": lambda self, arguments: "yes"},
    "^facts: returns a dictionary of JSON": {"facts": lambda self: None},
    "^candidates: returns a list .* overrides of its own$": {
        "candidates": lambda self, arguments: [candidate(), candidate(name="b")]
    },
    "^candidates: returns a list .* a name in one line": {
        "candidates": lambda self, arguments: [candidate(name="a\nb")]
    },
    "^program: .* that define run": {"program": lambda self: ""},
    "^program: its lines run by themselves, .*: ValueError: no graph$": {
        "program": lambda self: "def run(batch): ...\nraise ValueError('no graph')"
    },
    "^program: its lines run by themselves, .*: exit code 0$": {
        "program": lambda self: "def run(batch): ...\nimport os; os._exit(0)"
    },
    "^program: its lines run .*: NameError: name 'run_all' is not": {"program": lambda self: "run = print"},
    "^program: returns Python lines .* define run": {"program": lambda self: "x = 1\n"},
    "^setup: sets device to a torch.device": {"_setup": lambda self, _: setattr(self, "device", 5)},
    "^setup: leaves torch's default type at torch.float32": {
        "_setup": lambda self, _: torch.set_default_dtype(torch.bfloat16)
    },
    "^setup: leaves torch's default device at cpu": {"_setup": lambda self, _: torch.set_default_device("meta")},
    "memory: returns Memory": {"memory": lambda self: Memory(-1)},
    "memory: returns .* the weights among them": {"memory": lambda self: Memory(0)},
    "memory: returns Memory.*, the weights among them": {"memory": lambda self: Memory(1000)},
    "free_bytes: returns bytes": {"free_bytes": lambda self: 1e9},
    "energy: returns a Counter": {"energy": lambda self: 12.0},
    "energy: raises TypeError: Counter: joules is a number, .* not '12 J'": {
        "energy": lambda self: Counter("12 J", "x", None)
    },
    "energy: raises TypeError: Counter: joules have a source": {"energy": lambda self: Counter(5.0, None, None)},
    "energy: raises TypeError: Counter: joules have a source and no": {
        "energy": lambda self: Counter(5.0, "x", "broken")
    },
    "tokens_per_batch: is a whole number, at least 1, not -3": {"tokens_per_batch": -3},
    "tokens_per_batch: is a whole number, at least 1, not 'many'": {"tokens_per_batch": "many"},
    "energy: raises TypeError: Counter: joules is a number, zero or above": {
        "energy": lambda self: Counter(-1000.0, "x", None)
    },
    "energy: the source is the same": {"energy": lambda self: Counter(5.0, f"x{next(TICKS)}", None)},
    "energy: says why": {"energy": lambda self: Counter(None, None, None)},
    "energy: only grows": {"energy": falling},
}


@pytest.mark.parametrize("rule", BROKEN)
@pytest.mark.usefixtures("restore_torch")
def test_a_broken_rule_is_named(rule: str) -> None:
    broken = type("Broken", (Sound,), BROKEN[rule])
    with pytest.raises(AssertionError, match=rule):
        check_backend(broken)


def test_batches_that_a_weak_key_takes_for_the_same_have_other_vectors() -> None:
    model, batch = tiny_model(0), tokens((2, 16), padded=True)
    with torch.no_grad():
        known = model(**batch).last_hidden_state
        for other in confusable(batch).values():
            assert not close(model(**other).last_hidden_state, known, other["attention_mask"].bool())


def boom(*arguments):
    raise RuntimeError("boom")


RAISING = ("unavailable", "disturbances", "computes_fast", "choices", "check", "fixed_shapes", "candidates", "setup",
           "facts", "prepare", "identity", "computes_in", "reset_memory", "energy", "place", "warm_up", "synchronize",
           "observe", "graph", "streams", "program", "model_facts", "memory", "free_bytes", "recover")  # fmt: skip


@pytest.mark.parametrize("method", RAISING)
def test_whatever_a_method_raises_names_it(method: str) -> None:
    of_class = method in ("unavailable", "disturbances", "computes_fast", "choices")
    broken = type("Broken", (Sound,), {method: classmethod(boom) if of_class else boom})
    with pytest.raises(AssertionError, match=f"^{method}: raises RuntimeError: boom$"):
        check_backend(broken)


def test_whatever_the_call_raises_is_said_to_be_its_own() -> None:
    broken = type("Broken", (Sound,), {"prepare": lambda self, model, arguments: boom})
    with pytest.raises(AssertionError, match="^prepare: its call: raises RuntimeError: boom$"):
        check_backend(broken)


def test_a_device_that_is_not_there_is_no_broken_rule() -> None:
    def absent(self, arguments):
        raise PlatformError("no device")

    with pytest.raises(PlatformError, match="^no device$"):
        check_backend(type("Absent", (Sound,), {"_setup": absent}))
