"""Which graph computes a shape of a compiled sweep, and that its neighbours do not decide that."""

import pytest
import torch

from .conftest import NO_GRADIENTS, of

SWEEP = ["--input_sizes", "8,16,32,48", "--batch_sizes", "1", "--reps", "3"]
COMPILED = ["--platform", "cpu", *NO_GRADIENTS, "--compile:backend"]


@pytest.fixture(autouse=True)
def forget_graphs() -> None:
    """Dynamo keeps its graphs as long as the process."""
    torch._dynamo.reset()


def graphs(lines: list) -> list[str | None]:
    return [line.data["graph"] for line in of("STAT", lines)]


def compilations(lines: list) -> int:
    return sum(line.data["name"] == "compile" for line in of("PHASE", lines))


@pytest.mark.parametrize("sizes", ["8,16,32,48", "48,32,16,8"])
def test_each_shape_of_a_sweep_has_a_graph_of_its_own(drive, tiny, sizes: str) -> None:
    code, lines, _ = drive(*COMPILED, "eager", *tiny, "--input_sizes", sizes, *SWEEP[2:])
    assert (code, graphs(lines), compilations(lines)) == (0, ["static"] * 4, 4)


def test_the_tenth_shape_is_compiled_too(drive, tiny) -> None:
    sizes = ",".join(map(str, range(8, 18)))
    code, lines, _ = drive(*COMPILED, "eager", *tiny, "--input_sizes", sizes, *SWEEP[2:])
    assert (code, graphs(lines), compilations(lines)) == (0, ["static"] * 10, 10)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("True", ["dynamic"] * 4), ("None", ["static", "dynamic", "dynamic", "dynamic"]), ("False", ["static"] * 4)],
)
def test_what_the_user_says_of_dynamic_holds_and_is_recorded(drive, tiny, said: str, expected: list[str]) -> None:
    code, lines, _ = drive(*COMPILED, "eager", "--compile:dynamic@", said, *tiny, *SWEEP)
    assert (code, graphs(lines)) == (0, expected)


def test_variants_of_one_class_are_told_apart(drive, tiny) -> None:
    code, lines, _ = drive(*COMPILED, "eager", *tiny, *SWEEP, "--vs", "--compile:dynamic@ True")
    assert (code, graphs(lines)) == (0, ["static", "dynamic"] * 4)


def test_what_no_compiler_computes_has_no_graph(drive, tiny) -> None:
    code, lines, _ = drive("--platform", "cpu", *NO_GRADIENTS, *tiny, *SWEEP)
    assert (code, graphs(lines)) == (0, [None] * 4)


@pytest.mark.parametrize(
    ("options", "expected"), [([], "dynamic"), (["--platform:frontend", "torch.compile"], "static")]
)
def test_openvino_says_it_too(drive, tiny, options: list[str], expected: str) -> None:
    pytest.importorskip("openvino")
    code, lines, _ = drive("--platform", "openvino", *options, *NO_GRADIENTS, *tiny, *SWEEP)
    assert (code, graphs(lines)) == (0, [expected] * 4)
