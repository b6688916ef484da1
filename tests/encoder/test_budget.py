"""How many tokens a batch holds: given, the default, or measured once."""

from pathlib import Path

import pytest

from fmbench.backends.cpu import CpuBackend
from fmbench.encoder import Recipe
from fmbench.encoder.batches import measure_budgets
from fmbench.encoder.budget import Budget, chosen, measured_once

from .conftest import Load


def test_the_token_budget(load: Load, tiny_text_model: Path) -> None:
    assert load(tiny_text_model).budget("query") == Budget(CpuBackend.tokens_per_batch, "default")
    assert load(tiny_text_model, recipe=Recipe(tokens_per_batch=33)).budget("passage") == Budget(33, "given")


def test_a_budget_is_measured_once_for_texts_a_configuration_and_a_machine(
    load: Load, tiny_text_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    agreeing = lambda *given: measure_budgets(*given)[:1] * 4  # noqa: E731 (whatever else this machine does)
    monkeypatch.setattr("fmbench.encoder.compute.measure_budgets", agreeing)
    auto = Recipe(tokens_per_batch="auto")
    texts = [f"text {index}" for index in range(300)]
    first = load(tiny_text_model, recipe=auto)
    assert first.settle([], "query") == first.settle(["one"], "query") == 1024  # which tell nothing
    assert first.budget("query") is None
    assert first.settle(texts, "query") == first.settle(["other"], "query")
    found = first.budget("query")
    assert found.origin == "measured" and found.tokens == chosen(found.tried, 1024)
    assert min(found.tried) == 256 and first.timings.phases["budget"] > 0
    assert first.budget("passage") is None  # whose texts have other lengths
    monkeypatch.setattr("fmbench.encoder.compute.measure_budgets", lambda *_: [{77: 1.0}] * 4)
    again, short, bfloat16 = load(tiny_text_model, recipe=auto), load(tiny_text_model, recipe=auto), load(
        tiny_text_model, "--model:dtype=bfloat16", recipe=auto
    )  # fmt: skip
    again.encode(texts, "query")
    assert again.budget("query") == Budget(found.tokens, "cached", found.tried)
    for other, words in ((short, texts[:9]), (short, ["a long text " * 9] * 300), (bfloat16, texts)):
        other._compute.budgets.clear()
        assert other.settle(words, "query") == 77 and other.budget("query").origin == "measured"
    for file in tmp_path.glob("fmbench/budget-*/budget.json"):
        file.write_text('{"256": "fast"}')
    damaged = load(tiny_text_model, recipe=auto)
    assert damaged.settle(texts, "query") == 77 and damaged.budget("query").origin == "measured"
    assert "budget.json: not readable" in capsys.readouterr().err


def test_a_text_alone_takes_no_time_for_a_budget(load: Load, tiny_text_model: Path, monkeypatch) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(tokens_per_batch="auto"))
    monkeypatch.setattr("fmbench.host.host_facts", lambda: pytest.fail("this machine is looked at"))
    assert encoder.encode(["one text"], "query").shape == (1, encoder.dimension)


def rates(*passes: tuple[float, ...]) -> list[dict[int, float]]:
    return [dict(zip((256, 1024, 2048), one, strict=True)) for one in passes]


def test_a_budget_of_passes_that_disagree_serves_once(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("fmbench.host.load_average", lambda: 3.25)
    calm, loaded = (3000.0, 4000.0, 5000.0), (3700.0, 1600.0, 1500.0)
    found = measured_once({"key": 1}, 1024, lambda: rates(calm, loaded, calm, loaded))
    assert (found.tokens, found.origin, found.tried[256]) == (256, "measured", 3350)
    said = capsys.readouterr().err
    assert "2048 and 256 were the best in turn at a load of 3.2 on" in said and "this run takes 256" in said
    assert measured_once({"key": 1}, 1024, lambda: rates(calm, loaded, calm, calm)).tokens == 2048
    assert measured_once({"key": 1}, 1024, lambda: rates(calm, calm, loaded, calm)).origin == "measured"
    settled = measured_once({"key": 2}, 1024, lambda: rates(calm, calm, calm, calm))
    assert measured_once({"key": 2}, 1024, list) == Budget(2048, "cached", settled.tried)
    assert len(list(tmp_path.glob("fmbench/budget-*"))) == 1
    near = measured_once({"key": 3}, 1024, lambda: rates(*[(1.0, 4800.0, 5000.0)] * 4))
    assert near.tokens == 1024  # the platform's own, within 5%
