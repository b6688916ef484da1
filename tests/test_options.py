from dataclasses import fields

import pytest

from fmbench.errors import UsageError
from fmbench.options import SpeedArguments, add_model_arguments, parse_arguments, read
from fmbench.parsing import Parser

REQUIRED = {
    "--platform": "cpu",
    "--model_class": "BertModel",
    "--model_name": "org/name",
    "--input_sizes": "128,512",
    "--batch_sizes": "1,4",
    "--reps": "10",
}


def argv(**changes: str) -> list[str]:
    merged = {**REQUIRED, **{f"--{name}": value for name, value in changes.items()}}
    return [token for pair in merged.items() for token in pair]


def test_fixed_arguments_and_defaults() -> None:
    arguments = parse_arguments(argv())
    assert (arguments.platform, arguments.model_class, arguments.model_name) == ("cpu", "BertModel", "org/name")
    assert (arguments.input_sizes, arguments.batch_sizes, arguments.reps) == ((128, 512), (1, 4), 10)
    assert (arguments.compile, arguments.eval, arguments.weights, arguments.seed) == (False, False, "pretrained", 0)
    assert (arguments.model_root, arguments.device, arguments.threads, arguments.profile) == (None, None, None, None)


def test_batch_is_the_outer_loop() -> None:
    assert parse_arguments(argv()).shapes == [(128, 1), (512, 1), (128, 4), (512, 4)]


def test_a_compile_suboption_turns_compile_on() -> None:
    assert parse_arguments([*argv(), "--compile:backend", "sendnn"]).compile is True
    assert parse_arguments([*argv(), "--model:x", "1"]).compile is False


def test_given_arguments_are_what_was_typed_sorted() -> None:
    typed = ["--seed=3", "--compile", "--torch.call:set_grad_enabled@", "False", *argv()]
    assert parse_arguments(typed).given == (
        ("batch_sizes", "1,4"),
        ("compile", "True"),
        ("input_sizes", "128,512"),
        ("model_class", "BertModel"),
        ("model_name", "org/name"),
        ("platform", "cpu"),
        ("reps", "10"),
        ("seed", "3"),
        ("torch.call:set_grad_enabled@", "False"),
    )


def test_words_that_belong_to_no_option_are_given_by_the_names_of_their_places() -> None:
    parser = Parser(prog="x")
    add_model_arguments(parser)
    for name, count in (("a", None), ("more", "*")):
        parser.add_argument(name, nargs=count)
    typed = ["one", "two:2", "three", "--platform", "cpu", "--eval", "--model_name", "m"]
    assert read(parser, typed)["given"] == (
        ("a", "one"), ("eval", "True"), ("model_name", "m"), ("more", "two:2"), ("more", "three"), ("platform", "cpu"),
    )  # fmt: skip


@pytest.mark.parametrize("missing", [name for name in REQUIRED if name not in ("--model_class", "--reps")])
def test_required_arguments(missing: str) -> None:
    typed = [token for pair in REQUIRED.items() if pair[0] != missing for token in pair]
    with pytest.raises(UsageError, match=f"required: {missing}"):
        parse_arguments(typed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reps": "0"}, "--reps: '0' is too small; the least is 1"),
        ({"reps": "-3"}, "too small"),
        ({"reps": "2.5"}, "'2.5' is not a whole number"),
        ({"input_sizes": "128,0"}, "--input_sizes: '0' is too small"),
        ({"input_sizes": "128,"}, "'' is not a whole number"),
        ({"batch_sizes": "1;2"}, "'1;2' is not a whole number"),
        ({"batch_sizes": "-1"}, "too small|expected one argument"),
        ({"platform": ""}, "the value is empty"),
        ({"weights": "randon"}, "invalid choice: 'randon'"),
        ({"threads": "0"}, "too small"),
        ({"device": "-1"}, "too small|expected one argument"),
    ],
)
def test_bad_values(changes: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_arguments(argv(**changes))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, (10_000, 0.02, 30.0)),
        ({"reps": "7"}, (7, None, None)),
        ({"reps": "7", "max_seconds": "3"}, (7, None, 3.0)),
        ({"precision": "1%"}, (10_000, 0.01, 30.0)),
        ({"precision": "1%", "max_seconds": "3"}, (10_000, 0.01, 3.0)),
        ({"max_seconds": "3"}, (10_000, 0.02, 3.0)),
        ({"reps": "7", "precision": "1%"}, (7, 0.01, None)),
    ],
)
def test_without_reps_a_shape_repeats_as_often_as_its_figure_needs(changes: dict[str, str], rule: tuple) -> None:
    typed = [token for name, value in REQUIRED.items() if name != "--reps" for token in (name, value)]
    found = parse_arguments([*typed, *(f"--{name}={value}" for name, value in changes.items())])
    assert (found.reps, found.precision, found.max_seconds) == rule


def test_the_class_is_transformers_own_choice_where_none_is_given() -> None:
    typed = [token for name, value in REQUIRED.items() if name != "--model_class" for token in (name, value)]
    found = parse_arguments(typed)
    assert found.model_class == "AutoModel" and "model_class" not in dict(found.given)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--batch_size", "--batch_sizes"), ("--batch", "--batch_sizes"), ("--batch-size", "--batch_sizes"),
        ("--seq_len", "--input_sizes"), ("--max-seq-length", "--input_sizes"), ("--input_size", "--input_sizes"),
        ("--model", "--model_name"), ("--model_name_or_path", "--model_name"), ("--Model_Name", "--model_name"),
        ("--dtype", "--model:dtype"), ("--torch_dtype", "--model:dtype"), ("--bf16", "--model:dtype"),
        ("--model.dtype", "--model:dtype"), ("--attn_implementation", "--model:attn_implementation"),
        ("--iterations", "--reps"), ("--num_threads", "--threads"), ("--backend", "--platform"),
        ("--timeout", "--max_seconds"), ("--baseline", "--vs"), ("--gpu", "--device"), ("--trust_remote_code",
        "--model:trust_remote_code@ True"), ("--platfrom", "--platform"), ("--no-grad",
        "--torch.call:set_grad_enabled@ False"), ("--torch-compile", "--compile"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sign", [" ", "="])
def test_what_users_of_other_tools_type(typed: str, meant: str, sign: str) -> None:
    """Also where what was misspelt is required, and so is missing."""
    words = f"{typed}{sign}3".split(" ")
    for command in ([*argv(), *words], ["--platform", "cpu", *words]):
        with pytest.raises(UsageError) as caught:
            parse_arguments(command)
        assert f"unknown argument {typed!r}; did you mean {meant}" in str(caught.value)


@pytest.mark.parametrize("text", ["bf16", "bfloat16", "FP16", "half"])
def test_a_dtype_is_no_precision(text: str) -> None:
    dtype = "bfloat16" if text.startswith("bf") else "float16"
    with pytest.raises(
        UsageError, match=f"--precision: '{text}' is no share such as 1%; a dtype is --model:dtype {dtype}"
    ):
        parse_arguments([*argv(), "--precision", text])


def test_no_abbreviations_and_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="unknown argument '--batch_size'; did you mean --batch_sizes"):
        parse_arguments([*argv(), "--batch_size", "3"])


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="--reps: given twice"):
        parse_arguments([*argv(), "--reps", "3"])


def test_overrides_without_quotes() -> None:
    with pytest.raises(UsageError, match="unknown argument '1'; what --vs changes is one word, in quotes"):
        parse_arguments([*argv(), "--vs", "--threads", "1"])


def test_a_stray_word_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown argument 'extra'"):
        parse_arguments([*argv(), "extra"])


@pytest.mark.parametrize("concern", [one for one in SpeedArguments.__mro__ if "add_to" in vars(one)])
def test_each_field_has_its_argument_beside_it(concern) -> None:
    parser = Parser(add_help=False)
    concern.add_to(parser)
    assert {option.lstrip("-") for option in parser.names} == {field.name for field in fields(concern)}
