import shlex

import pytest

from fmbench.command_line import CommandLine, Expression
from fmbench.errors import UsageError
from fmbench.options import SpeedArguments, build_parser, parse_arguments
from fmbench.variants import override as under

BASE = [
    "--platform", "cpu", "--model_class=BertModel", "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1",
    "--reps", "9", "--compile", "--model:dtype@", "torch.float32", "--compile:options:a", "1", "--vs", "--eval",
]  # fmt: skip


def override(words: list[str], overrides: str, **more: object) -> SpeedArguments:
    return under(CommandLine.parse(words, build_parser("driver").flags), overrides, **more)


def test_nothing_is_overridden_by_nothing() -> None:
    plain = parse_arguments([token for token in BASE if token not in ("--vs", "--eval")])
    same = override(BASE, "")
    assert (same.platform, same.options, same.compile) == (plain.platform, plain.options, plain.compile)
    assert same.vs == ()


def test_fixed_arguments_are_replaced() -> None:
    found = override(BASE, "--platform openvino --threads=1 --model_class AutoModel")
    assert (found.platform, found.threads, found.model_class, found.compile) == ("openvino", 1, "AutoModel", True)


def test_suboptions_are_replaced_by_path() -> None:
    found = override(BASE, "--model:dtype bfloat16 --compile:options 2 --model:attn_implementation=eager")
    assert found.options["model"] == {"dtype": "bfloat16", "attn_implementation": "eager"}
    assert found.options["compile"] == {"options": "2"}
    kept = override(BASE, "--compile:options:b@ 3")
    assert kept.options["compile"] == {"options": {"a": "1", "b": Expression("3")}}


def test_a_value_with_spaces() -> None:
    assert override(BASE, "--model_name 'a b'").model_name == "a b"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("--reps 3", "--vs '--reps 3': --reps holds for all variants"),
        ("--input_sizes 9", "--input_sizes holds for all variants"),
        ("--vs ''", "--vs holds for all variants"),
        ("--platfrom cpu", "did you mean --platform"),
        ("--compil:x 1", "unknown set 'compil'"),
        ("--model:x 'a", "No closing quotation"),
        ("--", "'--' names no argument"),
        ("--threads 1 --", "'--' names no argument"),
        ("foo", "'foo' belongs to no argument"),
        ("--model:dtype 'a", "No closing quotation"),
        ("--model_name a b", "'b' belongs to no argument; a value with blanks or quotes takes quotes of its own"),
        ("--compile:options:x@ {'a': 1}", "belongs to no argument"),
        ("--compile:options:\\", "No escaped character"),
        ("--threads", "expected one argument"),
        ("--model:dtype", "the value is missing"),
        ("--dtype bf16", "did you mean --model:dtype"),
    ],
)
def test_mistakes_name_the_override(overrides: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        override(BASE, overrides)
    assert str(caught.value).startswith("--vs ")


OPENVINO = [
    "--platform", "openvino", "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1", "--device", "0",
    "--compile", "--platform:frontend", "convert_model", "--compile:options:config@", "{'A': 'f32'}", "--model:x", "1",
]  # fmt: skip


def test_what_concerns_one_platform_alone_falls_away_under_another() -> None:
    said: list[str] = []
    found = override(OPENVINO, "--platform cpu", say=said.append)
    assert found.options["platform"] == {} and found.options["compile"] == {} and found.options["model"] == {"x": "1"}
    assert (found.compile, found.device) == (False, None)
    (text,) = said
    assert text.endswith(
        "--device 0 --compile --platform:frontend convert_model --compile:options:config@ "
        "'{'\"'\"'A'\"'\"': '\"'\"'f32'\"'\"'}' is for --platform openvino and falls away"
    )


def test_what_an_override_names_itself_stays() -> None:
    found = override(
        OPENVINO, "--platform null --platform:noise 1 --device 1 --compile:backend eager", say=lambda _: None
    )
    assert found.options["platform"] == {"noise": "1"} and found.device == 1
    assert found.options["compile"] == {"backend": "eager"} and found.compile


@pytest.mark.parametrize("overrides", ["--platform openvino", "--threads 1", "--platform openvino --threads 1"])
def test_nothing_falls_away_on_the_same_platform(overrides: str) -> None:
    said: list[str] = []
    found = override(OPENVINO, overrides, say=said.append)
    assert found.options == parse_arguments(OPENVINO).options and found.device == 0 and said == []


def test_a_compiler_that_the_other_platform_refuses_falls_away() -> None:
    base = ["--platform", "cpu", "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1"]
    inductor = [*base, "--compile:backend", "inductor", "--compile:mode", "max-autotune"]
    assert override(inductor, "--platform openvino", say=lambda _: None).options["compile"] == {}
    assert override(inductor, "--platform cuda", say=lambda _: None).options["compile"]["backend"] == "inductor"
    shared = [*base, "--compile:backend@", "'openvino'"]
    assert "backend" in override(shared, "--platform openvino", say=lambda _: None).options["compile"]


@pytest.mark.parametrize("name", ["a b", "it's", 'say "so"', "back\\slash", "é", "--x", ""])
def test_quoted_values_survive(name: str) -> None:
    base = [*BASE[:-2], "--vs", f"--model:x={shlex.quote(name)}"]
    (overrides,) = parse_arguments(CommandLine.parse(base, {"--compile"}).words).vs
    assert override(base, overrides).options["model"]["x"] == name


def test_vs_takes_dashes() -> None:
    base = [*BASE[:-2], "--vs", "--model:dtype@ torch.bfloat16", "--vs", "--eval"]
    assert parse_arguments(base).vs == ("--model:dtype@ torch.bfloat16", "--eval")
