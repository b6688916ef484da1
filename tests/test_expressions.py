import sys
import types

import pytest

from fmbench import expressions
from fmbench.command_line import Expression
from fmbench.errors import UsageError
from fmbench.options import parse_arguments

ARGV = [
    "--platform",
    "cpu",
    "--model_class",
    "BertModel",
    "--model_name",
    "tiny",
    "--input_sizes",
    "16,48",
    "--batch_sizes",
    "2",
    "--reps",
    "3",
]


def evaluated(*suboptions: str) -> dict:
    return dict(parse_arguments([*ARGV, *suboptions]).evaluated().options)


def test_an_expression_sees_torch_transformers_args_and_builtins() -> None:
    import torch
    import transformers

    options = evaluated(
        "--model:dtype@", "torch.bfloat16",
        "--compile:x@", "max(args.input_sizes)",
        "--model:c@", "transformers.BertModel",
        "--compile:options:list@", "[n * 2 for n in args.batch_sizes]",
        "--compile:options:text", "torch.bfloat16",
    )  # fmt: skip
    assert options["model"] == {"dtype": torch.bfloat16, "c": transformers.BertModel}
    assert options["compile"] == {"x": 48, "options": {"list": [4], "text": "torch.bfloat16"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max(", "not a Python expression"),
        ("x = 1", "not a Python expression"),
        ("", "not a Python expression"),
        ("torhc.bfloat16", r"unknown name 'torhc'; did you mean torch"),
        ("sendnn", "a string needs quotes"),
    ],
)
def test_a_bad_expression_is_refused_before_torch(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_arguments([*ARGV, "--compile:mode@", text])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torch.bflot16", "AttributeError.*did you mean bfloat16"),
        ("1 / 0", "ZeroDivisionError"),
        ("args.input_size", "did you mean input_sizes"),
    ],
)
def test_a_failing_expression_names_its_option(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        evaluated("--model:dtype@", text)
    assert "--model:dtype@" in str(caught.value)


def test_torchao_is_imported_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    assert evaluated("--model:dtype@", "torch.float16")
    with pytest.raises(UsageError, match=r"torchao is not installed; pip install torchao"):
        evaluated("--model:quantization_config@", "torchao.quantization.Int8WeightOnlyConfig()")
    monkeypatch.setitem(sys.modules, "torchao", types.ModuleType("torchao"))
    assert evaluated("--model:x@", "torchao.__name__")["model"] == {"x": "torchao"}


def test_names_bound_inside_an_expression_are_no_unknown_names() -> None:
    expressions.check({"compile": {"f": Expression("(lambda a: [a + b for b in range(3)])(1)")}})
    with pytest.raises(UsageError, match="'c'"):
        expressions.check({"compile": {"f": Expression("(lambda a: [a + c for b in range(3)])(1)")}})


@pytest.mark.parametrize(
    ("leaf", "value"), [("x", "x"), (Expression(" False "), False), (Expression("(1, 'a')"), (1, "a"))]
)
def test_literal_reads_without_evaluating(leaf: object, value: object) -> None:
    assert expressions.literal(leaf) == value


def test_literal_leaves_code_alone() -> None:
    call = Expression("sys.exit(1)")
    assert expressions.literal(call) is call
    assert sys is not None
