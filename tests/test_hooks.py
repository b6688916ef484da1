"""What a platform's hooks raise names the platform and the hook, wherever it was called."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmbench.answers import ANSWERS, is_program, is_type
from fmbench.backend import Backend, Candidate, load_class
from fmbench.backends.null import NullBackend
from fmbench.errors import PlatformError, UsageError, is_out_of_memory
from fmbench.hooks import HOOKS
from fmbench.plugins import BrokenPluginError

CONTRACT = Path(__file__).resolve().parents[1] / "docs" / "reference" / "backend.md"
OF_THE_CLASS = [name for name in HOOKS if isinstance(vars(Backend)[name], classmethod)]


def broken(hook: str, error: BaseException) -> Backend:
    """Return a platform, one of whose hooks raises."""

    def fail(*_, **__):
        raise error

    return type("Broken", (NullBackend,), {hook: classmethod(fail) if hook in OF_THE_CLASS else fail})()


@pytest.mark.parametrize("hook", HOOKS)
def test_whatever_a_hook_raises_is_one_line_that_names_it(hook: str) -> None:
    error = SystemExit("no firmware\nsecond line")
    with pytest.raises(PlatformError) as caught:
        getattr(broken(hook, error), hook)(None)
    assert str(caught.value) == f"--platform null: {hook}(): SystemExit: no firmware second line"
    assert (caught.value.exit_code, caught.value.__cause__) == (3, error)


def test_the_contract_lists_every_hook() -> None:
    rows = re.findall(r"^\| (`.*?) \|", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)\(", row)} == {*HOOKS, "unavailable"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UsageError("--x: is wrong"), PlatformError("no device")])
def test_what_explains_itself_stays_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        broken("observe", error).observe()
    assert caught.value is error


def test_a_hook_that_calls_the_one_it_overrides_is_blamed_once() -> None:
    class Above(type(broken("prepare", ValueError("no graph")))):
        def prepare(self, model, arguments):
            return super().prepare(model, arguments)

    with pytest.raises(PlatformError, match=r"^--platform null: prepare\(\): ValueError: no graph$"):
        Above().prepare(None, None)


def test_memory_that_ran_out_in_a_hook_did_run_out() -> None:
    with pytest.raises(PlatformError) as caught:
        broken("place", MemoryError("64 GB")).place({})
    assert is_out_of_memory(caught.value)
    with pytest.raises(PlatformError) as caught:
        broken("place", ValueError("no place")).place({})
    assert not is_out_of_memory(caught.value)


@pytest.mark.parametrize("hook", ANSWERS)
def test_an_answer_that_is_none_names_the_hook(hook: str) -> None:
    wrong = lambda *_: SimpleNamespace(odd="x" * 200)  # noqa: E731
    platform = type("Odd", (NullBackend,), {hook: classmethod(wrong) if hook in OF_THE_CLASS else wrong})()
    with pytest.raises(PlatformError) as caught:
        getattr(platform, hook)(None)
    assert str(caught.value).startswith(f"--platform null: {hook}() returns {ANSWERS[hook][0]}; not namespace(odd=")
    assert caught.value.exit_code == 3 and len(str(caught.value)) < 200


def test_a_name_that_is_there_twice_is_named() -> None:
    twice = [Candidate("int8", f"--threads {count}", "why") for count in (1, 2)]
    with pytest.raises(PlatformError, match=r"overrides of its own; not 'int8' twice$"):
        type("Odd", (NullBackend,), {"candidates": lambda self, arguments: twice})().candidates(None)


@pytest.mark.parametrize("text", ["def run(batch):\n    return batch\n", "import model\nrun = model.run\n"])
def test_lines_of_a_program_define_run(text: str) -> None:
    assert is_program(text) and not is_program(text.replace("run", "walk"))


@pytest.mark.parametrize("name", ["float16", "bfloat16,float16", "int8", "float8_e4m3fn", "int4", "tf32"])
def test_types_are_named_as_torch_and_engines_name_them(name: str) -> None:
    assert is_type(name) and not is_type(f"torch.{name}") and not is_type(None) and not is_type("bananas")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"tokens_per_batch": 0}, "tokens_per_batch: is a whole number, at least 1, not 0"),
        ({"options": "dtype"}, "options: is a tuple of texts, not 'dtype'"),
        ({"summary": None}, "summary: is one line, not None"),
        ({"name": "other"}, "needs the name 'null', as its entry point says"),
    ],
)
def test_a_class_that_says_itself_wrongly_is_broken(said: dict, fault: str) -> None:
    plugin = SimpleNamespace(
        load=lambda: type("Odd", (NullBackend,), said), title="plug-in 'null' of acme 1", name="null"
    )
    with pytest.raises(BrokenPluginError, match=f"^plug-in 'null' of acme 1 {fault}$"):
        load_class(plugin)


def test_a_platform_that_is_not_usable_says_why_in_words() -> None:
    odd = type("Odd", (NullBackend,), {"unavailable": classmethod(lambda cls: True)})
    assert odd.why_not() == "unavailable(): TypeError: returns None or why not, as a text; not True"


def test_facts_are_asked_for_once() -> None:
    class Counting(NullBackend):
        asked = 0

        def facts(self):
            self.asked += 1
            return {"asked": self.asked}

    platform = Counting()
    assert [platform.ask_facts(), platform.ask_facts(), platform.asked] == [{"asked": 1}, {"asked": 1}, 1]
