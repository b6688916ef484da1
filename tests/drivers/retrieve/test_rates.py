"""Rates are of encoding alone: stages add up to the total, and what is done once is a PHASE line of its own."""

import pytest

from fmbench import lines
from fmbench.backends.cpu import CpuBackend
from fmbench.drivers.retrieve.work import Work
from fmbench.encoder import STAGES, Timings
from fmbench.encoder.batches import measure_budgets
from fmbench.measure import Phase


def phases_of(log: str, role: str) -> dict[str, dict]:
    """The data of the PHASE lines of a role, by name."""
    parsed = (lines.parse_line(text) for text in log.splitlines())
    return {
        line.data["name"]: line.data for line in parsed if lines.is_json(line, "PHASE") and line.data["role"] == role
    }


def check_sums(found: dict) -> None:
    """The stages that follow each other are the total, and the rates are by it."""
    seconds = found["seconds"]
    assert list(seconds) == ["tokenise", *STAGES, "other", "total"]
    assert sum(seconds[name] for name in (*STAGES, "other")) == pytest.approx(seconds["total"], abs=1e-5)
    assert found["texts_per_second"] == pytest.approx(found["texts"] / seconds["total"], rel=1e-3)
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / seconds["total"], rel=1e-3)


def test_a_phase_is_in_no_stage_and_no_rate() -> None:
    timings = Timings(texts=10, tokens=100, padded_tokens=120, seconds={"wait": 0.5, "forward": 1.0, "tokenise": 3.0})
    timings.took("convert", 5.0)
    timings.took("open", 1.0)
    row = Work.of(timings, texts=12, elapsed=8.0).row()
    assert row["seconds"] == {
        "tokenise": 3.0, "wait": 0.5, "collate": 0.0, "forward": 1.0, "pool": 0.0, "other": 0.5, "total": 2.0,
    }  # fmt: skip
    assert (row["texts_per_second"], row["tokens_per_second"], row["cached"]) == (5.0, 50.0, 2)
    assert Work.of(Timings(phases={"open": 1.0}), texts=3, elapsed=1.25).row()["seconds"] == {"total": 0.25}


def test_a_phase_inside_a_phase_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("fmbench.encoder.timings.time.perf_counter", lambda: next(now))
    timings = Timings()
    with timings.phase("open"), timings.phase("budget"):
        pass
    assert timings.phases == {"budget": 3.0, "open": 7.0}


@pytest.mark.parametrize("more", [(), ("--precompute_corpus_embs",), ("cache",)])
def test_stages_add_up_and_one_off_work_is_named(retrieve, tmp_path, more) -> None:
    words = ("--encoding_cache_dir", tmp_path / "cache") if more == ("cache",) else more
    log = retrieve("evaluate", "--latency_queries", "0", *words)
    for role in ("query", "passage"):
        check_sums(log.data("ENC", role=role))
    assert phases_of(log.log, "query").keys() == {"open", "warm_up", "look_again", "write"}
    assert phases_of(log.log, "passage").keys() == {"open", "look_again", *(("write",) if more else ())}
    assert all(phase["dataset"] == "wings" for phase in phases_of(log.log, "query").values())


def test_what_a_platform_does_once_is_named_by_it(retrieve, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuBackend, "warm_up", lambda *_: [Phase("convert", 3.5), Phase("check", 0.25)])
    found = phases_of(retrieve("encode", "--encoding_cache_dir", tmp_path).log, "query")
    assert (found["convert"]["seconds"], found["check"]["seconds"]) == (3.5, 0.25)


def test_compiling_is_in_no_rate(retrieve) -> None:
    ran = retrieve("evaluate", "--compile:backend", "eager", "--tokens_per_batch", "64", "--latency_queries", "3")
    passages = ran.data("ENC", role="passage")
    check_sums(passages)
    assert phases_of(ran.log, "query")["compile"]["seconds"] > 0
    plain = retrieve("evaluate", "--tokens_per_batch", "64", "--latency_queries", "0").data("ENC", role="passage")
    for key in ("texts", "tokens", "padding_share"):  # what was computed twice counts once
        assert passages[key] == plain[key]


def test_a_query_says_where_its_time_goes(retrieve) -> None:
    ran = retrieve("evaluate", "--latency_queries", "2")
    found = ran.data("ENC", role="query")
    assert found["latency_ms"]["n"] == 2
    assert list(found["latency_stages_ms"]) == ["tokenise", "collate", "forward", "pool"]
    assert all(milliseconds > 0 for milliseconds in found["latency_stages_ms"].values())
    assert "latency_stages_ms" not in ran.data("ENC", role="passage")


def test_auto_says_what_it_tried(retrieve, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    agreeing = lambda *given: measure_budgets(*given)[:1] * 4  # noqa: E731 (whatever else this machine does)
    monkeypatch.setattr("fmbench.encoder.compute.measure_budgets", agreeing)
    words = ("--tokens_per_batch", "auto", "--encoding_cache_dir", tmp_path / "cache")
    ran = retrieve("encode", *words)
    budget = phases_of(ran.log, "query")["budget"]
    tried = budget["tokens_per_second"]
    assert tried[str(budget["tokens_per_batch"])] >= 0.95 * max(tried.values()) > 0 and "256" in tried
    said = f"--tokens_per_batch auto: {budget['tokens_per_batch']} is taken for query texts"
    assert f"{said}, measured (" in ran.notes
    assert ran.data("ENC", role="query")["tokens_per_batch"] == budget["tokens_per_batch"]
    assert "budget" in phases_of(ran.log, "passage")
    assert ran.data("ENC", role="query")["budget_from"] == "measured"
    assert f"{said}, cached (" in retrieve("evaluate", "--tokens_per_batch", "auto").notes
    again = retrieve("encode", *words)
    assert "budget" not in phases_of(again.log, "query") and "is taken for" not in again.notes
    assert again.data("ENC", role="query")["tokens_per_batch"] == budget["tokens_per_batch"]
    assert again.data("ENC", role="query")["budget_from"] is None


def test_the_budget_that_is_said_is_the_one_that_was_used(retrieve, tmp_path) -> None:
    cache = ("--encoding_cache_dir", tmp_path / "cache")
    retrieve("encode", *cache, "--tokens_per_batch", "512")
    found = retrieve("encode", *cache, "--tokens_per_batch", "2048")
    passages = found.data("ENC", role="passage")
    assert (passages["tokens_per_batch"], passages["budget_from"]) == (512, None)


def test_what_a_platform_computes_in_is_said(retrieve, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "cpu computes these float32 weights in bfloat16"
    assert said not in retrieve("evaluate", "--latency_queries", "0").notes
    monkeypatch.setattr(CpuBackend, "computes_in", lambda self, dtype: "bfloat16")
    assert said in retrieve("evaluate", "--latency_queries", "0").notes
