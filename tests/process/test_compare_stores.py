"""`fmbench compare` on stores and folders: what is matched with what; and on rankings, query by query."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fmbench import lines
from fmbench.process.comparing.compare import main
from fmbench.process.store.cli import main as results
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.paired import compare as compare_evaluations

from .test_compare import log_text, noisy, told

JSON = ("--format", "json")


def facts(dtype, torch="2.12"):
    return json.dumps({"platform": "cpu", "cpu": "C", "dtype": dtype, "packages": {"torch": torch}})


@pytest.fixture
def store(tmp_path):
    """Put logs of these texts into a store, and return its path."""

    def put(name, *texts):
        for number, text in enumerate(texts):
            path = tmp_path / f"{name}{number}.log"
            path.write_text(text)
            assert results(["add", str(path), "--store", str(tmp_path / name)]) == 0
        return str(tmp_path / name)

    return put


def grid(bfloat16, torch="2.12"):
    """The logs of two configurations of one shape, the second so much slower."""
    return (
        log_text({8: noisy(seed=1)}, facts("float32", torch)),
        log_text({8: noisy(bfloat16, seed=2)}, facts("bfloat16", torch)),
    )


def test_shapes_of_stores_are_matched_by_configuration(store, capsys):
    base, new = store("base", *grid(1.0)), store("new", *reversed(grid(2.0)))
    capsys.readouterr()
    assert main([base, new, *JSON]) == 0
    found = told(capsys.readouterr().out)
    verdicts = {shape["configuration"]: shape["verdict"] for shape in found["shapes"]}
    assert verdicts == {"cpu, float32": "no significant difference", "cpu, bfloat16": "regression"}
    assert main([base, new]) == 0
    assert "cpu, bfloat16" in capsys.readouterr().out


def test_what_may_differ_is_no_part_of_what_is_matched(store, capsys):
    base, new = store("base", *grid(1.0)), store("new", *grid(1.0, torch="2.13"))
    capsys.readouterr()
    assert main([base, new]) == 2
    assert "no shape is in both" in capsys.readouterr().err
    assert main([base, new, "--across", "torch_version", *JSON]) == 0
    assert len(told(capsys.readouterr().out)["shapes"]) == 2


def test_what_a_side_has_in_several_ways_is_not_made_one(store, capsys):
    base, new = store("base", *grid(1.0)), store("new", *grid(2.0))
    capsys.readouterr()
    assert main([base, new, "--across", "all"]) == 2
    err = capsys.readouterr().err
    assert "base: holds several results of one shape (dtype " in err and "with --across all any of them" in err


def test_a_store_that_holds_nothing_lacks_everything(store, capsys):
    base, new = store("base", *grid(1.0)), store("new", run(1.0))
    assert results(["remove", results_in(new), "--store", new]) == 0
    capsys.readouterr()
    assert main([base, new, "--fail-on", "missing"]) == 1
    assert f"{new}: lacks results of {base}: 2 of speed (" in capsys.readouterr().err
    assert main([base, new]) == 2 and "no shape is in both" in capsys.readouterr().err
    for words in ([], ["--fail-on", "missing"]):  # nothing to lack, and nothing to compare
        assert main([new, base, *words]) == 2
        assert f"{new}: holds no results, so there is nothing to compare with" in capsys.readouterr().err


def seeded(seed, ratio=1.0, size=8):
    said = {**json.loads(facts("float32")), "seed": seed}
    return log_text({size: noisy(ratio, seed=seed)}, json.dumps(said))


def test_cells_of_several_seeds_are_cells_of_their_own(store, capsys):
    both, first = store("both", seeded(0), seeded(1, 2.0)), store("first", seeded(0))
    capsys.readouterr()
    assert main([both, both, *JSON]) == 0
    printed = capsys.readouterr()
    assert sorted(one["configuration"] for one in told(printed.out)["shapes"]) == ["seed 0", "seed 1"]
    assert "measured again" not in printed.err
    assert main([both, first, "--fail-on", "missing"]) == 1
    assert f"first: lacks 1 shape of {both}" in capsys.readouterr().err
    assert main([first, both]) == 0
    assert main([both, first, "--across", "seed"]) == 2  # which of the two
    several = r"holds several results of one shape \(seed (0 and 1|1 and 0)\), and with --across seed any"
    assert re.search(several, capsys.readouterr().err)


def test_a_cell_that_died_before_it_said_its_facts_leaves_the_others_comparable(store, capsys):
    said = {**json.loads(facts("float32")), "seed": 0, "compile": False, "torch_settings": {"a": 1}}
    whole = [log_text({size: noisy()}, json.dumps(said)) for size in (8, 16)]
    died = log_text({16: noisy()}, '{"platform": "cpu", "cpu": "C", "packages": {"torch": "2.12"}}', fail=(16,))
    base, new = store("base", *whole), store("new", whole[0], died)
    capsys.readouterr()
    assert main([base, new, *JSON]) == 0
    printed = capsys.readouterr()
    assert len(told(printed.out)["shapes"]) == 2 and "earlier version" not in printed.err
    assert main([base, new, "--fail-on", "regression"]) == 1  # it fails now
    assert main([new, base, "--fail-on", "regression,missing"]) == 0


def results_in(store):
    (path,) = Path(store).glob("*/*")
    return path.relative_to(store).as_posix()


def run(ratio, torch="2.12", fail=()):
    return log_text({8: noisy(ratio)}, facts("float32", torch), fail=fail)


def test_runs_of_a_shape_are_processes(store, capsys):
    base, new = store("base", run(1.0), run(1.1), run(1.2)), store("new", run(2.0), run(2.2), run(2.4))
    capsys.readouterr()
    assert main([base, new, *JSON]) == 0
    printed = capsys.readouterr()
    (shape,) = told(printed.out)["shapes"]
    assert (shape["base"]["n"], shape["new"]["n"]) == (3, 3) and "last one counts" not in printed.err
    assert shape["base"]["itl"] == pytest.approx(11, rel=0.01) and shape["ratio"] == pytest.approx(2, rel=0.01)
    assert shape["reason"] == "3 and 3 processes are too few to tell" and shape["interval"] is None
    assert main([base, new]) == 0
    assert "; overall ratio 2.000 (too few to tell)" in capsys.readouterr().out


def test_what_failed_or_is_of_another_fingerprint_is_no_run_of_the_newest(tmp_path, capsys):
    texts = [run(2.0), run(2.2) + run(2.1), run(5.0, fail=(8,)), run(9.0, torch="2.11"), run(2.4)]
    for number, text in enumerate(texts):
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / f"{number}.log").write_text(text)
    (tmp_path / "base.log").write_text(run(1.0))
    assert main([str(tmp_path / "base.log"), str(tmp_path / "new"), "--across", "torch_version", *JSON]) == 0
    printed = capsys.readouterr()
    (shape,) = told(printed.out)["shapes"]
    assert shape["new"]["n"] == 3 and shape["ratio"] == pytest.approx(2.1, rel=1e-3)
    assert "new: 3 results are of a shape that was measured again later" in printed.err


def scored(task):
    """A log of a task's score, whose configuration is that of `run`."""
    said = {"task": task, "type": "sts", "metric": "spearman", "variant": "A", "score": 0.5, "texts": 4, "seed": 0}
    kinds = ({"task": "quality", "platform": "cpu", "model": "m"}, {"variant": "A", "platform": "cpu", "model": "m"})
    found = [lines.JsonLine("LOG", {"format": 1, "driver": "quality"}), *(lines.JsonLine("ENV", one) for one in kinds)]
    return "".join(f"{line.format()}\n" for line in (*found, lines.JsonLine("QUA", said)))


def test_what_is_not_compared_is_counted_and_missing_where_a_side_lacks_it(store, capsys):
    base, new = store("base", run(1.0), scored("a"), scored("b")), store("new", run(1.0), scored("a"))
    capsys.readouterr()
    assert main([base, new, "--fail-on", "missing"]) == 1
    err = capsys.readouterr().err
    assert (
        f"{new}: lacks results of {base}: 1 of quality (b, A)\n" in err
        and "that are not compared: 1 of quality\n" in err
    )
    assert main([base, new]) == 0 and main([new, base, "--fail-on", "missing"]) == 0


def test_what_is_missing_is_said_where_nothing_else_can_be_compared(tmp_path, capsys):
    def missing(one, other, *words):
        paths = [tmp_path / "a.log", tmp_path / "b.log"]
        for path, text in zip(paths, (one, other), strict=True):
            path.write_text(text)
        return main([*map(str, paths), *words]), capsys.readouterr().err

    shape = log_text({16: noisy(seed=3)}, facts("float32"))
    for one, other, named in (
        (scored("a") + scored("b"), scored("a"), "1 of quality (b, A)"),
        (run(1.0), shape, "1 of speed (8 / "),
        (run(1.0), scored("a"), "1 of speed (8 / "),
    ):
        code, err = missing(one, other, "--fail-on", "missing")
        assert (code, named in err) == (1, True), err
        assert missing(one, other)[0] == 2
    assert missing(scored("a"), scored("a") + scored("b"), "--fail-on", "missing")[0] == 2


def test_what_failed_in_the_base_already_is_not_missing(tmp_path, capsys):
    paths = [tmp_path / "a.log", tmp_path / "b.log"]
    both = {8: noisy(seed=1), 16: noisy(seed=2)}
    paths[0].write_text(log_text(both, facts("float32"), fail=(16,)))
    paths[1].write_text(log_text({8: noisy(seed=1)}, facts("float32")))
    assert main([*map(str, paths), "--fail-on", "missing"]) == 0
    assert "does not have 1 shape that failed in" in capsys.readouterr().err
    paths[0].write_text(log_text(both, facts("float32")))
    assert main([*map(str, paths), "--fail-on", "missing"]) == 1


def ranking(values, torch="2.12", queries=None, threshold=1.0):
    queries = queries or [f"q{number}" for number in range(len(values))]
    found = Evaluation(tuple(queries), ("ndcg_cut_10", "map"), np.array([values, values]).T, threshold)
    said = [
        lines.JsonLine("LOG", {"format": 1, "driver": "retrieve"}),
        lines.JsonLine("ENV", {"task": "evaluate", "platform": "cpu", "model": "m", "packages": {"torch": torch}}),
        lines.JsonLine("IRM", {"dataset": "wings", **found.row()}),
        lines.JsonLine("IRQ", {"dataset": "wings", **found.query_row()}),
    ]
    return "".join(f"{line.format()}\n" for line in said), found


@pytest.fixture
def compare(tmp_path, capsys):
    def run(*texts, words=(), code=0):
        paths = [tmp_path / f"{name}.log.gz" for name, _ in zip("ab", texts, strict=False)]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(gzip.compress(text.encode()))
        assert main([*map(str, paths), *words]) == code
        printed = capsys.readouterr()
        return printed.err if code == 2 else printed.out

    return run


def test_rankings_are_compared_query_by_query(compare):
    draw = np.random.default_rng(0)
    before = draw.uniform(0.3, 0.9, 50)
    worse = np.clip(before - draw.uniform(0, 0.1, 50), 0, 1)
    (a, one), (b, other) = ranking(before), ranking(worse)
    (found,) = told(compare(a, b, words=JSON))["quality"]
    wanted = compare_evaluations(one, other)["ndcg_cut_10"]
    assert (found["dataset"], found["metric"], found["verdict"]) == ("wings", "ndcg_cut_10", "regression")
    assert found["difference"]["mean"] == pytest.approx(wanted.mean, abs=1e-6) and found["difference"]["n"] == 50
    assert found["p_holm"] == wanted.p
    text = compare(a, b, words=("--fail-on", "regression"), code=1)
    assert "1 regression" in text and "ratio" not in text and "difference: new less base" in text
    assert re.search(r" -0\.0\d{3} +-0\.0\d{3} to -0\.0\d{3} ", text)  # as many digits for the ends
    assert "1 without significant difference" in compare(a, a)


def encoding(rate, p50, load=1.0):
    """The log of a run of wings: its documents a second, its median query in milliseconds, the load of its machine."""
    text, _ = ranking(np.linspace(0, 1, 20))
    env = {"load_average_end": load, "cpus": 2}
    said = [lines.JsonLine("ENV", env)]
    for role, speed in (("passage", rate), ("query", 100.0)):
        latency = {"latency_ms": {"n": 100, "p50": p50, "p95": p50, "p99": p50}} if role == "query" else {}
        more = {"seconds": {"total": 20 / speed}, "texts_per_second": speed, **latency}
        said.append(lines.JsonLine("ENC", {"dataset": "wings", "role": role, "texts": 20, **more}))
    head, tail = text.split("FMWORK IRM")
    return head + "".join(f"{line.format()}\n" for line in said) + "FMWORK IRM" + tail


def test_speeds_of_data_sets_are_judged_by_their_runs(store, capsys):
    base = store("base", *(encoding(50 + run, 4 + run / 10) for run in range(6)))
    new = store("new", *(encoding(25 + run, 4.05 + run / 10) for run in range(6)))
    capsys.readouterr()
    assert main([base, new, "--fail-on", "regression", *JSON]) == 1
    speeds = {speed["speed"]: speed for speed in told(capsys.readouterr().out)["speeds"]}
    assert {name: speed["verdict"] for name, speed in speeds.items()} == {
        "query ms": "no significant difference", "texts/s": "regression",
    }  # fmt: skip
    assert speeds["texts/s"]["ratio"] == pytest.approx(52.5 / 27.5, rel=0.01)
    assert (speeds["texts/s"]["base"]["itl"], speeds["texts/s"]["base"]["n"]) == (52.5, 6)
    assert main([base, new]) == 0
    assert "texts/s" in (text := capsys.readouterr().out) and "a run has one figure of each" in text


def test_one_run_is_too_few_and_a_busy_machine_says_nothing(compare):
    (_, found), (_, busy) = (
        (speed["speed"], speed) for load in (1.0, 9.0)
        for speed in told(compare(encoding(50, 4), encoding(20, 4, load), words=JSON))["speeds"]
        if speed["speed"] == "texts/s"
    )  # fmt: skip
    assert found["reason"] == "1 and 1 processes are too few to tell" and found["ratio"] == 2.5
    assert (busy["verdict"], busy["ratio"]) == (None, None) and "contended: a load of 9.0" in busy["new"]["doubt"]


def test_the_order_of_the_queries_does_not_matter(compare):
    values = np.linspace(0, 1, 20)
    names = [f"q{number}" for number in range(20)]
    (found,) = told(compare(ranking(values)[0], ranking(values[::-1], queries=names[::-1])[0], words=JSON))["quality"]
    assert found["difference"]["mean"] == 0 and found["verdict"] == "no significant difference"


def edited(text):
    """A log of a ranking in which one query is better than the mean says."""
    head, tail = text.split("FMWORK IRQ")
    return f"{head}FMWORK IRQ{tail.replace('[0.5, ', '[0.9, ')}"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (ranking(np.ones(9) / 2)[0], "10 and 9 queries, and not the same ones"),
        (ranking(np.ones(10) / 2, threshold=2.0)[0], "judged differently"),
        (edited(ranking(np.ones(10) / 2)[0]), "new contradicted: IRM says ndcg_cut_10 0.500000, and the mean of IRQ"),
        (ranking(np.ones(10) / 2, torch="2.13")[0], "under different fingerprints (packages.torch"),
    ],
)
def test_what_is_no_pair_is_not_compared(compare, other, said):
    assert said in compare(ranking(np.ones(10) / 2)[0], other, code=2)
