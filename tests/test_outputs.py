"""What a timed call returned: an answer to its batch, or none."""

import numpy as np
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from fmbench.backends.null import NullBackend
from fmbench.converted import Output
from fmbench.outputs import OutputError, answer, check

ROWS = torch.arange(24.0).reshape(4, 3, 2)


class Model(NullBackend):
    """A platform that runs a model."""

    builds_model = True


@pytest.mark.parametrize(
    "output",
    [
        ROWS,
        ROWS.requires_grad_(),
        Output(ROWS),
        BaseModelOutput(last_hidden_state=ROWS, hidden_states=(torch.ones(1),)),
        MaskedLMOutput(logits=ROWS),
        (ROWS, torch.ones(4, 2)),
        {"embedding": ROWS},
        [ROWS.detach().numpy()],
        {"embedding": ROWS.detach().numpy()},
    ],
)
def test_what_models_and_engines_return_is_an_answer(output: object) -> None:
    assert answer(output, (4,)).tolist() == answer(output, (4, 3, 2)).tolist() == ROWS.tolist()
    check(Model(), output, (4,))


@pytest.mark.parametrize("kind", [torch.float8_e5m2, torch.float16, torch.bfloat16, torch.float64])
def test_every_type_of_numbers_is_looked_at(kind: torch.dtype) -> None:
    check(Model(), ROWS.to(kind), (4,))
    with pytest.raises(OutputError, match="1 of 24 numbers that are NaN or infinite"):
        check(Model(), ROWS.to(kind).index_put((torch.tensor(1),) * 3, torch.tensor(-torch.inf, dtype=kind)), (4,))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (None, "returned None, no floating numbers for each of 4 rows"),
        (object(), "returned object, no floating numbers for each of 4 rows"),
        ((), "returned tuple, no"),
        ("four rows", "returned str, no"),
        (BaseModelOutput(), "returned BaseModelOutput, no"),
        (Output(ROWS[:2]), r"returned float32 of shape \[2, 3, 2\], no floating numbers for each of 4 rows"),
        (ROWS[0, 0, 0], r"float32 of shape \[\], no"),
        (ROWS[:, :0], r"float32 of shape \[4, 0, 2\], no"),
        (ROWS.long(), r"int64 of shape \[4, 3, 2\], no"),
        (
            np.where(ROWS.detach() == 5, np.nan, 1.0),
            "1 of 24 numbers that are NaN or infinite; check the weights, or try another --model:dtype$",
        ),
        (ROWS * (torch.arange(4) > 1)[:, None, None], "zeros throughout for 2 of 4 rows"),
        (torch.zeros(4, 2), "zeros throughout for 4 of 4 rows"),
        (torch.arange(4.0), "zeros throughout for 1 of 4 rows"),
        (ROWS / 0, "24 of 24 numbers that are NaN or infinite; check"),
        (ROWS.half() * 3000, "2 of 24 .*; float16 ends at 65,504, bfloat16 does not: --model:dtype bfloat16"),
    ],
)
def test_what_is_no_answer_is_named(output: object, said: str) -> None:
    with pytest.raises(OutputError, match=f"the call returned {said.removeprefix('returned ')}"):
        check(Model(), output, (4,))


def test_the_platform_is_named() -> None:
    for output in (None, ROWS / 0, torch.zeros(4, 2), [[1.0], [2.0]]):
        with pytest.raises(OutputError, match=r"^--platform null: prepare\(\): the call returned "):
            check(Model(), output, (4,))
    with pytest.raises(OutputError, match=r"returned list of 2, the first float32 of shape \[1\], no floating"):
        check(Model(), [[1.0], [2.0]], (4,))


def test_numbers_are_not_read_where_the_form_alone_is_asked_for() -> None:
    check(Model(), ROWS / 0, (4,), values=False)


def test_a_platform_without_a_model_answers_nothing() -> None:
    check(NullBackend(), None, (4,))
