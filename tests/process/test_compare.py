"""`fmbench compare`: what is matched, refused and said."""

import json
import zlib

import numpy as np
import pytest

from fmbench import lines, stats
from fmbench.figures import significant
from fmbench.process.cli import main as process_main
from fmbench.process.comparing.compare import main


def log_text(shapes, facts='{"device": "d0", "threads": 4, "packages": {"torch": "2.12"}}', fail=()):
    """A log: shapes maps an input size to its durations in milliseconds. Another log began at another time."""
    clock = 10**18 + zlib.crc32(repr((shapes, facts, fail)).encode())
    arguments = "FMWORK ARG --model_name org/m\nFMWORK ARG --model_class C"
    parts = [lines.JsonLine("LOG", {"format": 1}).format(), arguments, f"FMWORK ENV {facts}"]
    for size, durations in shapes.items():
        place = {"input_size": size, "batch_size": 4}
        parts.append(lines.JsonLine("CASE", {**place, "reps": len(durations)}).format())
        start = clock
        for index, duration in enumerate(round(value * 1e6) for value in durations):
            parts.append(lines.Rep(index + 1, len(durations), clock, clock + duration, duration).format())
            clock += duration
        if size in fail:
            parts.append(lines.JsonLine("ERR", {**place, "type": "OutOfMemoryError", "message": "no"}).format())
        else:
            parts.append(result_of(start, clock, size, durations))
    return "\n".join(parts) + "\n"


def result_of(start, end, size, durations):
    """The RES line of repetitions in milliseconds, of which some took any time."""
    settled = stats.settled([round(value * 1e6) for value in durations])
    median = stats.median(settled) / 1e6 if any(settled) else 1.0
    return lines.Res(start, end, "org/m", "C", size, 4, median, 4e3 / median).format()


def noisy(ratio=1.0, count=50, seed=0, noise=0.01):
    return ratio * np.random.default_rng(seed).lognormal(np.log(10), noise, count)


def told(text):
    (comparison,) = json.loads(text)["comparisons"]
    return comparison


JSON = ("--format", "json")

# -- verdicts


def test_a_result_that_its_repetitions_contradict_is_no_improvement(compare):
    base, new = (log_text({8: noisy(seed=1), 16: noisy(ratio, seed=2)}) for ratio in (1, 0.5))
    head, result = new.rsplit("FMWORK RES", 1)
    printed = compare(base, f"{head}FMWORK RES{result.replace(' 16 4 5.', ' 16 4 6.')}", words=JSON)
    first, second = told(printed)["shapes"]
    assert (first["reason"], second["reason"]) == (None, "not to be believed in new")
    assert (second["verdict"], second["ratio"]) == (None, None)
    edited = f"{head}FMWORK RES{result.replace(' 16 4 5.', ' 16 4 6.')}"
    compare(base, edited, words=("--fail-on", "missing"), code=1)
    compare(base, edited, words=("--fail-on", "regression"), code=0)


def test_a_regression_needs_significance_and_the_threshold(compare):
    base = log_text({8: noisy(seed=1), 16: noisy(seed=2), 32: noisy(seed=3), 64: noisy(seed=4), 128: [10, 11, 12]})
    new = {8: noisy(1.1, seed=5), 16: noisy(1.02, seed=6), 32: noisy(0.9, seed=7), 64: noisy(seed=8), 128: [20, 21, 22]}
    shapes = told(compare(base, log_text(new), words=JSON))["shapes"]
    assert [shape["verdict"] for shape in shapes] == [
        "regression", "no significant difference", "improvement", "no significant difference",
        "no significant difference",
    ]  # fmt: skip
    assert shapes[1]["p_holm"] < 0.05 and shapes[1]["reason"] == "below the threshold of 3%"
    assert shapes[4]["reason"] == "2 and 2 repetitions are too few to tell"
    assert shapes[0]["ratio"] == pytest.approx(1.1, abs=0.01)
    assert shapes[0]["interval"][0] < 1.1 < shapes[0]["interval"][1]
    assert all(shape["p"] <= shape["p_holm"] for shape in shapes)


def test_the_first_fifth_is_left_out(compare):
    slow_start = np.concatenate([np.full(10, 50.0), noisy(seed=2)[10:]])
    (shape,) = told(compare(log_text({8: noisy(seed=1)}), log_text({8: slow_start}), words=JSON))["shapes"]
    assert shape["verdict"] == "no significant difference"
    assert (shape["base"]["n"], shape["new"]["n"]) == (40, 40)


def test_p_is_corrected_for_the_number_of_shapes(compare):
    one = {8: noisy(seed=1, noise=0.08)}
    many = {**one, **{8 + size: noisy(seed=size + 5) for size in range(1, 30)}}
    slower = {8: noisy(1.06, seed=2, noise=0.08)}
    alone = told(compare(log_text(one), log_text(slower), words=JSON))["shapes"][0]
    among = told(compare(log_text(many), log_text({**many, **slower}), words=JSON))["shapes"][0]
    assert alone["p"] == among["p"]
    assert among["p_holm"] == pytest.approx(min(1, 30 * alone["p_holm"]))


@pytest.mark.parametrize(("threshold", "code"), [("3%", 1), ("0.2", 0), ("0", 1)])
def test_the_exit_code_follows_the_threshold(threshold, code, compare):
    texts = log_text({8: noisy(seed=1)}), log_text({8: noisy(1.1, seed=2)})
    compare(*texts, words=["--threshold", threshold, "--fail-on", "regression"], code=code)
    compare(*texts, words=["--threshold", threshold], code=0)


def test_a_shape_that_fails_now_is_a_regression(compare):
    both = {8: noisy(seed=1), 16: noisy(seed=2)}
    base, new = log_text(both), log_text(both, fail=[16])
    comparison = told(compare(base, new, words=[*JSON, "--fail-on", "regression"], code=1))
    assert comparison["shapes"][1]["verdict"] == "regression"
    assert comparison["shapes"][1]["reason"] == "failed in new: OutOfMemoryError"
    comparison = told(compare(new, base, words=[*JSON, "--fail-on", "regression"]))
    assert comparison["shapes"][1]["verdict"] is None


def test_the_overall_ratio_is_the_geometric_mean(compare):
    base = {8: noisy(seed=1), 16: noisy(seed=2)}
    new = {8: 1.1 * base[8], 16: base[16] / 1.3}
    overall = told(compare(log_text(base), log_text(new), words=JSON))["overall"]
    assert overall["ratio"] == pytest.approx((1.1 / 1.3) ** 0.5, rel=1e-5)
    assert overall["interval"][0] < overall["ratio"] < overall["interval"][1]
    assert overall["shapes"] == 2


def test_a_log_against_itself_has_no_difference(compare):
    text = log_text({8: noisy(seed=1), 16: [10] * 10})
    for shape in told(compare(text, text, words=JSON))["shapes"]:
        assert (shape["ratio"], shape["verdict"]) == (1, "no significant difference")


# -- what is matched, and what is refused


def test_shapes_of_one_side_only_are_named(compare, tmp_path, capsys):
    comparison = told(compare(log_text({8: noisy(), 16: noisy()}), log_text({8: noisy(), 32: noisy()}), words=JSON))
    assert [shape["input"] for shape in comparison["shapes"]] == [8]
    assert [shape["input"] for shape in comparison["only_base"]] == [16]
    assert [shape["input"] for shape in comparison["only_new"]] == [32]
    main([str(tmp_path / "a.log"), str(tmp_path / "b.log")])
    assert "b.log: lacks 1 shape of " in capsys.readouterr().err


def test_the_last_result_of_a_shape_counts(compare, tmp_path, capsys):
    base, new = log_text({8: noisy()}), log_text({8: noisy(2.0)}) + log_text({8: noisy()})
    assert told(compare(base, new, words=JSON))["shapes"][0]["ratio"] == 1
    main([str(tmp_path / "a.log"), str(tmp_path / "b.log")])
    assert "b.log: 1 results are of a shape that was measured again later" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((log_text({8: noisy()}), log_text({16: noisy()})), "no shape is in both"),
        ((log_text({8: noisy()}), ""), "no shape is in both"),
        ((log_text({8: []}), log_text({8: []})), "no shape could be compared (no repetitions in base"),
        ((log_text({8: [0, 0, 0]}), log_text({8: [1, 1, 1]})), "a repetition in base took no time"),
    ],
)
def test_what_cannot_be_compared(texts, message, compare):
    assert message in compare(*texts, code=2)


def test_json_has_no_repetitions(tmp_path, capsys):
    (tmp_path / "a.log").write_text(log_text({8: noisy()}))
    process_main(["--path", str(tmp_path / "a.log"), "--out", str(tmp_path / "a.json")])
    assert main([str(tmp_path / "a.log"), str(tmp_path / "a.json")]) == 2
    assert "no repetitions in new: compare the log itself, which has them; its JSON does not" in capsys.readouterr().err


OTHER = '{"device": "d1", "threads": 4, "packages": {"torch": "2.13"}, "load_average_start": 3.0}'


def test_other_fingerprints_are_refused_with_what_differs(compare):
    said = compare(log_text({8: noisy()}), log_text({8: noisy()}, OTHER), code=2)
    assert "(device: d0 and d1; packages.torch: 2.12 and 2.13)" in said
    assert said.endswith("if these may differ: --across device,packages.torch\n")


@pytest.mark.parametrize(
    ("across", "code"),
    [
        ("device,torch_version", 0), ("device,packages.torch", 0), ("device,packages", 0), ("device, torch", 0),
        ("all", 0), ("device", 2), ("torch", 2), ("device,pack", 2),
    ],
)  # fmt: skip
def test_facts_that_may_differ_are_named(across, code, compare):
    compare(log_text({8: noisy()}), log_text({8: noisy()}, OTHER), words=["--across", across], code=code)


def test_facts_that_differ_are_told(compare):
    texts = log_text({8: noisy()}), log_text({8: noisy()}, OTHER)
    assert "device: d0 in base, d1 in new" in compare(*texts, words=["--across", "all"])
    assert told(compare(*texts, words=["--across", "all", *JSON]))["differing"]["device"] == ["d0", "d1"]


def of_model(**parts):
    whole = {"weights": "a" * 64, "configuration": "b" * 64, "code": None, "tokenizer": "c" * 64, "modules": None}
    facts = {"device": "d0", "weights": "pretrained", "model_source": "folder", "variables": {}}
    return json.dumps({**facts, "model_digest": str(parts), "model_parts": {**whole, **parts}})


def test_an_edited_model_is_refused_by_its_part(compare):
    texts = log_text({8: noisy()}, of_model()), log_text({8: noisy()}, of_model(configuration="e" * 64))
    said = compare(*texts, code=2)
    assert f"(model_parts.configuration: {'b' * 12} and {'e' * 12});" in said
    for across in ("model_parts.configuration", "configuration", "model_parts", "model_digest"):
        compare(*texts, words=["--across", across])


def test_a_log_of_the_first_versions_is_compared_by_its_weights_and_the_rest_is_said(compare, capsys, tmp_path):
    old = json.dumps({"device": "d0", "model_digest": "a" * 64, "weights": "pretrained", "model_source": "folder"})
    new = log_text({8: noisy()}, of_model())
    compare(log_text({8: noisy()}, old), new)
    assert main([str(tmp_path / "a.log"), str(tmp_path / "b.log")]) == 0
    said = capsys.readouterr().err
    assert "a.log: an earlier version wrote it, which did not say model_parts.configuration, model_parts.code" in said
    assert "variables: not compared" in said
    assert "(model_parts.weights: " in compare(log_text({8: noisy()}, old.replace("a" * 64, "d" * 64)), new, code=2)


def test_a_name_that_no_fact_has_is_a_warning(compare, tmp_path, capsys):
    compare(log_text({8: noisy()}), log_text({8: noisy()}))
    main([str(tmp_path / "a.log"), str(tmp_path / "b.log"), "--across", "devcie"])
    assert "warning: --across devcie: no fact has that name; did you mean device?\n" in capsys.readouterr().err


def test_another_model_is_another_shape_unless_told(compare):
    base, new = log_text({8: noisy()}), log_text({8: noisy()}).replace("org/m", "org/other")
    compare(base, new, code=2)
    compare(base, new, words=["--across", "model"])


@pytest.mark.parametrize(
    "words", [["--threshold", "x"], ["--threshold", "100%"], ["--fail-on", "x"], ["--format", "x"]]
)
def test_a_wrong_command_line(words, compare):
    assert compare(log_text({8: noisy()}), log_text({8: noisy()}), words=words, code=2).count("\n") == 1


# -- how it is said


def test_a_table(compare):
    base = log_text({8: noisy(seed=1), 16: noisy(seed=2)})
    text = compare(base, log_text({8: noisy(1.1, seed=3), 16: noisy(seed=4)}))
    title, _, header, first, second, *_ = text.splitlines()
    assert "1 regression, 0 improvements, 1 without significant difference; overall ratio 1.0" in title
    assert header.split()[:6] == ["input", "batch", "base", "ms", "new", "ms"]
    assert "  regression" in first and "  no significant difference" in second


def test_markdown_for_a_pull_request(compare, tmp_path):
    base = log_text({8: noisy(seed=1)}, facts='{"device": "a|b<c>"}')
    new = log_text({8: noisy(1.1, seed=3)}, facts='{"device": "e"}')
    words = ["--across", "device", "--format", "markdown", "--out", str(tmp_path / "comment.md")]
    assert compare(base, new, words=words) == ""
    text = (tmp_path / "comment.md").read_text()
    assert text.startswith("### ") and "| regression |" in text
    assert "a\\|b\\<c\\> in base" in text


def test_several_logs_make_a_matrix(compare):
    texts = [log_text({8: noisy(seed=1)}), log_text({8: noisy(1.1, seed=2)}), log_text({8: noisy(2.2, seed=3)})]
    text = compare(*texts)
    assert text.count("1 regression, ") == 2
    *_, a, b, c = text.rstrip().splitlines()
    assert "1.000 (1.000 to 1.000)" in a and "1.1" in b and "2.0" in c
    found = json.loads(compare(*texts, words=JSON))
    assert [len(comparison["shapes"]) for comparison in found["comparisons"]] == [1, 1]
    assert found["matrix"][2][1]["ratio"] == pytest.approx(2, rel=0.01)


def test_what_is_read_is_not_written_over(tmp_path, capsys):
    (tmp_path / "a.log").write_text(log_text({8: noisy()}))
    (tmp_path / "b.log").write_text(log_text({8: noisy(seed=1)}))
    for name in "ab":
        target = tmp_path / f"{name}.log"
        assert main([str(tmp_path / "a.log"), str(tmp_path / "b.log"), "--out", str(target)]) == 2
        assert f"--out {target}: is one of the files that are read" in capsys.readouterr().err
        assert target.read_text().startswith("FMWORK LOG")


@pytest.mark.parametrize("what", ["lacks 1 shape", "was killed in the middle of 1 shape"])
def test_a_shape_that_was_not_measured_can_fail(what, tmp_path, capsys):
    whole = log_text({8: noisy(seed=1), 16: noisy(seed=2)})
    rows = whole.splitlines(keepends=True)
    cut = rows[:-1] if "killed" in what else rows[: next(i for i, row in enumerate(rows) if '"input_size": 16' in row)]
    (tmp_path / "a.log").write_text(whole)
    (tmp_path / "b.log").write_text("".join(cut))
    paths = [str(tmp_path / f"{name}.log") for name in "ab"]
    for fail_on, code in (("regression", 0), ("missing", 1), ("regression,missing", 1)):
        assert main([*paths, "--fail-on", fail_on]) == code
        assert f"{paths[1]}: {what} of {paths[0]}\n" in capsys.readouterr().err
    assert main([paths[0], paths[0], "--fail-on", "regression,missing"]) == 0
    assert main([*paths, "--fail-on", "slower"]) == 2
    assert "'slower' is not among regression, missing" in capsys.readouterr().err


def test_what_could_not_have_been_seen_is_said(compare):
    generator = np.random.default_rng(2)
    base, new = ({8: 10 * generator.lognormal(0, spread, 100)} for spread in (0.2, 0.2))
    found = told(compare(log_text(base), log_text(new), words=JSON))["shapes"][0]
    assert found["verdict"] == "no significant difference" and 0.05 < found["detectable"] < 0.3
    assert (
        found["reason"] == f"too noisy to see 3%; what can be seen: {significant(100 * found['detectable'], digits=2)}%"
    )
    assert "too noisy to see 3%; what can be seen: " in compare(log_text(base), log_text(new))
    quiet = told(compare(log_text({8: noisy()}), log_text({8: noisy(seed=5)}), words=JSON))["shapes"][0]
    assert quiet["detectable"] == 0.03  # what is no concern is not looked for


# -- what ended before its model was set up


SOFTWARE = '{"packages": {"torch": "2.13"}, "platform": "cpu"}'
LOADING = '{"packages": {"torch": "2.13"}, "platform": "cpu", "threads": 4}'  # what is said before the weights are read


@pytest.mark.parametrize(("known", "reps"), [("{}", 9), (SOFTWARE, 9), (LOADING, 9), (SOFTWARE, 20)])
@pytest.mark.parametrize("others", [False, True])
def test_a_run_that_was_killed_before_its_model_was_set_up_is_a_regression(compare, known, reps, others):
    def logs(dtype):
        typed = f"FMWORK ARG --model:dtype {dtype}\nFMWORK ENV "
        facts = {"cpu": "C", "platform": "cpu", "threads": 4, "dtype": dtype, "model_class": "C",
                 "packages": {"torch": "2.13"}, "options": [f"--model:dtype {dtype}"]}  # fmt: skip
        return log_text({8: noisy(seed=1)}, json.dumps(facts)).replace("FMWORK ENV ", typed), typed

    (whole, _), (base, typed) = logs("float32"), logs("bfloat16")
    typed = f"FMWORK ARG --reps {reps}\n{typed}"
    early = json.dumps({"cpu": "C", **json.loads(known)})
    error = lines.JsonLine("ERR", {"input_size": 8, "batch_size": 4, "type": "Killed", "message": "no"}).format()
    arguments = "FMWORK ARG --model_name org/m\nFMWORK ARG --model_class C"
    new = f'FMWORK LOG {{"format": 1}}\n{arguments}\n{typed}{early}\n{error}\n'
    more = whole if others else ""
    out = compare(base + more, new + more, words=(*JSON, "--fail-on", "regression"), code=1)
    shapes = told(out)["shapes"]
    assert [shape["reason"] for shape in shapes if shape["verdict"] == "regression"] == ["failed in new: Killed"]
    assert len(shapes) == 1 + others


def test_cells_of_a_platform_without_a_model_that_were_killed_early_are_regressions(tmp_path, capsys):
    def cell(folder, milliseconds, end, more):
        (tmp_path / folder).mkdir(exist_ok=True)
        typed = f"FMWORK ARG --platform null\nFMWORK ARG --platform:milliseconds {milliseconds}\nFMWORK ENV "
        text = log_text({8: noisy(seed=1)}, json.dumps({"cpu": "C", **more})).replace("FMWORK ENV ", typed)
        said = text.partition("FMWORK CASE")[0] + end if end else text
        (tmp_path / folder / f"{milliseconds}.log").write_text(said)

    error = lines.JsonLine("ERR", {"input_size": 8, "batch_size": 4, "type": "Killed", "message": "no"}).format() + "\n"
    for milliseconds in (1, 2):
        options = {"platform": "null", "options": [f"--platform:milliseconds {milliseconds}"], "weights": None}
        cell("base", milliseconds, None, options)
        cell("new", milliseconds, error, {})
    assert main([str(tmp_path / "base"), str(tmp_path / "new"), *JSON, "--fail-on", "regression"]) == 1
    shapes = told(capsys.readouterr().out)["shapes"]
    assert [shape["reason"] for shape in shapes] == ["failed in new: Killed"] * 2


def test_what_is_only_simulated_is_not_in_the_overall_ratio(compare):
    def logs(real, simulated):
        facts = '{"device": "d0", "threads": 4, "packages": {"torch": "2.12"}, "simulated": true}'
        return log_text({8: real}) + log_text({16: simulated}, facts)

    base = logs(noisy(seed=1), noisy(seed=2))
    found = told(compare(base, logs(noisy(seed=1), noisy(2.0, seed=3)), words=JSON))
    assert (
        found["overall"]["ratio"] == pytest.approx(1) and found["overall"]["shapes"] == 1 and len(found["shapes"]) == 2
    )
    assert "overall ratio 1.000 (" in (out := compare(base, base)) and ", without 1 simulated" in out
