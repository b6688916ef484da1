"""Records: the results of one configuration joined over the logs of several drivers, and what to run."""

import itertools
import json
import re

import pytest

from fmbench import lines
from fmbench.cli import main as fmbench
from fmbench.drivers.embed import main as driver
from fmbench.process.advice import advice_of
from fmbench.process.cli import main as process
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.process.record import comparable, records_of
from fmbench.process.writing.show import main as show

from .conftest import GOLDEN
from .log_lines import LOG

FACTS = {"platform": "cpu", "threads": 2, "compile": False, "options": [], "model": "m", "dtype": "float32"}
BF16 = {**FACTS, "dtype": "bfloat16"}
MILLISECOND = 10**6
TIMES = itertools.count(1000, 1000)  # in seconds: no two runs begin at once


def speed(facts, start=None, **latencies):
    """Return the lines of a driver's run; `latencies` are milliseconds by `input_batch`."""
    start = start or next(TIMES)
    said = [LOG, lines.JsonLine("ENV", facts).format()]
    for place, latency in latencies.items():
        size, batch = map(int, place.strip("_").split("_"))
        said.append(lines.JsonLine("CASE", {"input_size": size, "batch_size": batch, "reps": 9}).format())
        begin = start * 10**9
        for index in range(1, 10):
            said.append(
                lines.Rep(index, 9, begin, begin + int(latency * MILLISECOND), int(latency * MILLISECOND)).format()
            )
            begin += 10**9
        end = begin - 10**9 + int(latency * MILLISECOND)
        said.append(lines.Res(start * 10**9, end, "m", "C", size, batch, latency, 1000 * batch / latency).format())
    return said


def retrieval(facts, ndcg, dataset="scifact", half=0.02, rate=45.0, start=None):
    quality = {"dataset": dataset, "queries": 9, "metrics": {"ndcg_cut_10": ndcg},
               "intervals": {"ndcg_cut_10": [ndcg - half, ndcg + half]}}  # fmt: skip
    passages = {"dataset": dataset, "role": "passage", "texts": 90, "texts_per_second": rate,
                "seconds": {"wall": 90 / rate}, "start": f"{start or next(TIMES)}.000000000"}  # fmt: skip
    return [
        LOG,
        lines.JsonLine("ENV", {**facts, "task": "evaluate"}).format(),
        lines.JsonLine("ENC", passages).format(),
        lines.JsonLine("IRM", quality).format(),
    ]


@pytest.fixture
def records(tmp_path):
    def read(*logs):
        paths = []
        for number, said in enumerate(logs):
            path = tmp_path / f"{number}.log"
            path.write_text("\n".join([*said, ""]))
            paths.append(str(path))
        return records_of(read_results(find_sources(paths), print, repetitions=False))

    return read


def figures(record):
    return {key: figure.value for (key, _), figure in record.figures.items()}


def test_logs_of_one_configuration_are_one_record(records):
    one, other = records(speed(FACTS, _128_1=4, _128_8=16), retrieval(FACTS, 0.64), speed(BF16, _128_1=2, _128_8=8))
    assert figures(one) == {"latency_ms": 4.0, "throughput": 500.0, "texts_per_second": 45.0, "ndcg": 0.64}
    assert figures(other) == {"latency_ms": 2.0, "throughput": 1000.0}
    assert [one.name, other.name] == ["cpu, float32", "cpu, bfloat16"]
    assert one.figures["ndcg", "scifact"].low == pytest.approx(0.62)
    assert len(one.logs) == 2


def test_of_what_was_measured_again_the_newest_counts_and_it_is_said(records):
    (one,) = records(speed(FACTS, start=500, _128_1=4), speed(FACTS, start=100, _128_1=9))
    assert (figures(one)["latency_ms"], one.again) == (4.0, 2)  # latency and throughput


def test_figures_are_of_the_shape_that_most_configurations_have(records):
    one, other = records(speed(FACTS, _128_1=4, _512_1=20, _512_4=40), speed(BF16, _128_1=2, _128_4=4))
    assert (one.figures["latency_ms", ""].of, other.figures["latency_ms", ""].of) == ("128 / 1", "128 / 1")
    assert (one.figures["throughput", ""].of, one.figures["throughput", ""].value) == ("128 tokens", 250.0)


def test_two_data_sets_are_two_figures(records):
    (one,) = records(retrieval(FACTS, 0.64), retrieval(FACTS, 0.4, "cranfield"))
    assert {of: figure.value for (key, of), figure in one.figures.items() if key == "ndcg"} == {
        "scifact": 0.64,
        "cranfield": 0.4,
    }


def test_a_figure_that_its_row_doubts_is_in_doubt(records):
    (one,) = records([line for line in speed(FACTS, _128_1=4) if " RES " not in line])  # cut off
    assert one.figures["latency_ms", ""].doubt is not None
    assert one.doubtful


def test_what_its_log_contradicts_is_in_no_record(records):
    assert records([line for line in speed(FACTS, _128_1=4) if " REP 5 " not in line]) == []


@pytest.mark.parametrize(("more", "marked"), [({"steady": False}, True), ({"answered": 149}, False)])
def test_a_load_in_doubt_is_marked_and_what_its_log_contradicts_is_left_out_and_counted(tmp_path, capsys, more, marked):
    said = (GOLDEN.parent / "golden-load" / "format-1.log").read_text().splitlines()
    kept = [line for line in said if not line.startswith(("FMWORK LOAD", "FMWORK REQ", "FMWORK VEC"))]
    first = json.loads(next(line for line in said if line.startswith("FMWORK LOAD")).removeprefix("FMWORK LOAD "))
    kept.append(lines.JsonLine("LOAD", {**first, **more}).format())
    for name, text in (("load", kept), ("speed", speed(FACTS, _128_1=4))):
        (tmp_path / f"{name}.log").write_text("\n".join([*text, ""]))
    assert show([str(tmp_path / "load.log"), str(tmp_path / "speed.log")]) == 0
    out = capsys.readouterr().out
    p99 = f"{first['latency_ms']['p99']:.3g}"[:2]
    assert (re.search(rf"{p99}[\d.]*( ±[\d.]+)?\*", out) is not None) is marked and ("* is in doubt" in out) is marked
    assert ("1 results are in no line: their log contradicts itself" in out) is not marked


def test_figures_of_other_shapes_are_not_held_against_each_other(records):
    found = records(speed(FACTS, _128_1=30), speed({**FACTS, "threads": 1}, _128_1=31), speed(BF16, _16_1=4))
    assert [("latency_ms", "") in one.figures for one in found if one.figures] == [True, True]
    assert "bfloat16" not in advice_of(found)


def test_figures_of_other_data_recipes_or_judging_have_names_of_their_own(records):
    def data(digest):
        return {"data": {"scifact": {"corpus": digest}}}

    one, other = records(retrieval({**FACTS, **data("a")}, 0.64), retrieval({**BF16, **data("b")}, 0.7, rate=90.0))
    (mine,), (theirs,) = ([of for key, of in record.figures if key == "ndcg"] for record in (one, other))
    assert mine != theirs and mine.startswith("scifact #") and theirs.startswith("scifact #")
    assert advice_of([one, other]) == ""


def test_a_copy_of_a_log_is_no_second_measurement(records):
    said = speed(FACTS, _128_1=4)
    (one,) = records(said, said)
    assert one.again == 0


def test_a_variant_without_facts_of_its_own_has_no_configuration(records):
    said = speed(FACTS, _128_1=4)
    case = lines.JsonLine(
        "CASE", {"input_size": 64, "batch_size": 1, "reps": 9, "variant": "B", "overrides": "--model:dtype bfloat16"}
    )
    reps = [line for line in said if " REP " in line]
    (one,) = records([*said, case.format(), *reps])
    assert [figure.of for figure in one.figures.values()] == ["128 / 1", "128 tokens"]


def test_nothing_is_faster_within_its_doubt(records):
    logs = [speed(FACTS, _128_1=4), retrieval(FACTS, 0.64), speed(BF16, _128_1=3.9), retrieval(BF16, 0.64, rate=46.0)]
    assert advice_of(records(*logs)).startswith("what to run: cpu, float32; none that is as good is faster")


def test_a_busy_machine_tells_nobody_who_is_faster(records):
    slow, fast = ({**facts, "load_average_start": 17.0, "cpus": 2} for facts in (FACTS, BF16))
    logs = [speed(slow, _128_1=4), retrieval(slow, 0.64), speed(fast, _128_1=3), retrieval(fast, 0.64, rate=70.0)]
    said = advice_of(records(*logs))
    assert said.startswith("what to run: cpu, float32; nobody knows whether it is faster: cpu, bfloat16 (c-"), said
    assert "in doubt" in said


def test_what_failed_or_says_no_platform_is_in_no_record(records):
    failed = lines.JsonLine("ERR", {"input_size": 1, "batch_size": 1, "type": "E", "message": "m"}).format()
    assert records([LOG, lines.JsonLine("ENV", FACTS).format(), failed], speed({"model": "m"}, _8_1=1)) == []


def test_the_front_is_what_nothing_is_faster_and_better_than(records):
    int8 = {**FACTS, "precision": "int8"}
    found = records(
        speed(FACTS, _128_1=4), retrieval(FACTS, 0.64), speed(BF16, _128_1=2), retrieval(BF16, 0.66, rate=90.0),
        speed(int8, _128_1=1), retrieval(int8, 0.5, rate=180.0),
    )  # fmt: skip
    assert [record.front for record in found] == [False, True, True]


def test_advice_names_the_fastest_that_is_as_good(records):
    int8 = {**FACTS, "precision": "int8"}
    logs = [
        speed(FACTS, _128_1=4), retrieval(FACTS, 0.64), speed(BF16, _128_1=2), retrieval(BF16, 0.638, rate=90.0),
        speed(int8, _128_1=1), retrieval(int8, 0.5, rate=180.0),
    ]  # fmt: skip
    said = advice_of(records(*logs))
    assert said.startswith("what to run: cpu, bfloat16 (c-")
    assert "), 2.00 times as fast as cpu, float32; nDCG@10 on scifact" in said
    assert "nDCG@10 on scifact 0.6380 beside 0.6400" in said


def test_advice_says_that_one_side_had_less_of_the_machine(records):
    def said(usable):
        whole, part = ({**facts, "cpus_usable": count} for facts, count in ((FACTS, 2), (BF16, usable)))
        return advice_of(records(retrieval(whole, 0.5, rate=45.0), retrieval(part, 0.5, rate=90.0)))

    assert "times as fast as cpu, float32" in said(2) and "usable CPUs and" not in said(2)
    assert ", with 1 and 2 usable CPUs" in said(1)


def test_advice_is_silent_without_a_reference(records):
    assert advice_of(records(speed(BF16, _128_1=2))) == ""


@pytest.mark.slow
def test_three_drivers_say_the_same_of_one_set_up(tiny_text_model, tmp_path, capsys):
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    texts = [f"{a} {b}" for a in ("wing", "flow", "heat") for b in ("wave", "drag", "lift")]
    (data / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{n}", "text": t}) + "\n" for n, t in enumerate(texts))
    )
    (data / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": t}) + "\n" for n, t in enumerate(texts[:4]))
    )
    (data / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(4))
    )
    common = ["--platform", "cpu", "--model_name", str(tiny_text_model), "--threads", "1"]
    shapes = ["--input_sizes", "16", "--batch_sizes", "1", "--reps", "6", "--torch.call:set_grad_enabled@", "False"]
    assert driver([*common, "--model_class", "BertModel", *shapes, "--vs", "--model:dtype bfloat16"]) == 0
    logs = {"driver": capsys.readouterr().out}
    assert fmbench(["retrieve", "evaluate", *common, "--dataset", str(data)]) == 0
    logs["retrieve"] = capsys.readouterr().out
    log = tmp_path / "choose.log"
    others = [word for name in ("cpu int8", "cpu inductor") for word in ("--without", name)]
    choose = ["choose", "--platforms", "cpu", *common[2:], "--dataset", str(data), "--log", str(log), *others]
    assert fmbench([*choose, "--profile", "bulk", "--budget", "30s"]) == 0
    capsys.readouterr()
    logs["choose"] = log.read_text()
    for name, text in logs.items():
        (tmp_path / f"{name}.log").write_text(text)
    paths = [part for name in logs for part in ("--path", str(tmp_path / f"{name}.log"))]
    assert process([*paths, "--records"]) == 0
    float32, bfloat16 = json.loads(capsys.readouterr().out)
    keys = {figure["key"] for figure in float32["figures"]}
    assert {"latency_ms", "throughput", "texts_per_second", "query_ms", "ndcg", "min_cosine", "overlap"} <= keys
    assert {"latency_ms", "speedup"} <= {figure["key"] for figure in bfloat16["figures"]}
    assert process(paths) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["configuration"] for row in rows} == {float32["configuration"], bfloat16["configuration"]}
    assert show(paths[1::2]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Run cpu float32") and "least cosine" in out


def test_records_take_no_other_format(tmp_path, capsys):
    assert process(["--path", str(tmp_path), "--records", "--format", "csv"]) == 2
    assert "leave out --format" in capsys.readouterr().err


def test_a_gpu_and_its_host_that_one_choice_held_against_each_other_are_one_machine():
    path = GOLDEN.parent / "golden-choice" / "gpu-1.log.gz"
    records = records_of(read_results(find_sources([str(path)]), pytest.fail))
    assert {record.configuration.facts["platform"] for record in records} == {"cuda", "cpu", "onnxruntime"}
    assert [machine for _, machine in comparable(records)] == ["nvidia-h200-85aa2d83"]
