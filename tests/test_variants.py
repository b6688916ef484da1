"""The variants of --vs: what they are called, and which is the fastest."""

import pytest

from fmbench import variants


def pair(b, ratio, interval, verdict, overrides="--threads 2", **more):
    return {"a": "A", "b": b, "overrides": overrides, "ratio": ratio, "interval": interval, "verdict": verdict, **more}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("--model:dtype@ torch.bfloat16", "bfloat16"),
        ("--model:dtype bfloat16", "bfloat16"),
        ("--threads 1", "--threads 1"),
        ("--threads=1 --platform openvino", "openvino, --threads 1"),
        ("--compile --compile:mode max-autotune", "--compile, --compile:mode max-autotune"),
        ("--model:attn_implementation 'a b'", "--model:attn_implementation 'a b'"),
        ("--compile:dynamic@ False", "--compile:dynamic@ False"),
        ("", "the same command"),
    ],
)
def test_a_short_name_says_what_is_overridden(overrides, name):
    assert variants.short_name(overrides) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("--threads 2", "--threads=2"),
        ("--threads 2 --compile", "--compile --threads 2"),
        ("--threads 4 --threads 2", "--threads 2"),
        ("--compile:backend=inductor", "--compile:backend 'inductor'"),
    ],
)
def test_overrides_that_say_the_same_are_the_same(one, other):
    assert variants.settings(one) == variants.settings(other)
    assert variants.settings(one) != variants.settings("--threads 3")


def test_a_text_that_no_shell_reads_is_itself():
    assert variants.settings("--x 'y") == {"--x 'y": None}


def test_the_fastest_is_named_with_its_interval():
    b, c = pair("B", 0.5, [0.49, 0.51], "faster"), pair("C", 2.0, [1.9, 2.1], "slower")
    assert variants.fastest([[b, c]]) == "fastest: B (--threads 2), 2.00 times A (1.96 to 2.04)"


def test_what_may_be_as_fast_is_named_too():
    b = pair("B", 0.5, [0.49, 0.51], "faster")
    c = pair("C", 0.505, [0.495, 0.515], "faster", overrides="--compile")
    assert variants.fastest([[c, b]]).endswith("(1.96 to 2.04); C (--compile) may be as fast")


def test_a_is_the_fastest_where_every_variant_is_slower_beyond_doubt():
    slow, same = pair("B", 2.0, [1.9, 2.1], "slower"), pair("C", 0.7, [0.4, 1.1], "no significant difference")
    failed = pair("D", None, None, None, reason="D failed")
    assert variants.fastest([[slow, failed]]) == "fastest: A; no variant is faster"
    assert variants.fastest([[slow, same]]) == "not told apart: A and C (--threads 2); no variant is faster"
    assert variants.fastest([[same], [slow]]) == "fastest in 1 of 2 shapes: A; no variant is faster"
    assert variants.fastest([[same], [same]]).startswith("not told apart in 2 of 2 shapes: A and C (--threads 2); no")


def test_over_several_shapes_the_wins_are_counted():
    b, c = pair("B", 0.5, [0.49, 0.51], "faster"), pair("B", 0.4, [0.39, 0.41], "faster")
    a = pair("B", 1.5, [1.4, 1.6], "slower")
    assert variants.fastest([[b], [a], [c]]) == "fastest in 2 of 3 shapes: B (--threads 2), 2.00 to 2.50 times A"


def test_a_busy_machine_is_said_of_the_fastest():
    b, reasons = pair("B", 0.5, [0.49, 0.51], "faster"), [None, "contended: 1.5 threads on average waited"]
    said = "fastest, on a busy machine: B (--threads 2), 2.00 times A (1.96 to 2.04)"
    assert variants.fastest([[b]], reasons) == said
    assert variants.fastest([[b]], [None, "drift: +9%"]) == said.replace(", on a busy machine", "")


def test_without_a_verdict_nothing_is_the_fastest():
    failed = pair("B", None, None, None, reason="B failed")
    few = pair("B", 0.5, [0.4, 0.6], None, reason="too few pairs to tell")
    assert variants.fastest([[failed], [few]]) == ""
    assert variants.against(failed) == "no answer: B failed"
    assert variants.against(few) == "2.00 times A (1.67 to 2.50): too few pairs to tell"
