"""`fmbench compare` on runs with variants: they are matched by what they override."""

import pytest

from fmbench import lines

from .test_compare import JSON, log_text, noisy, result_of, told


def variants_text(variants, noise_seed=0):
    """A log of one --vs run: variants maps a letter to its overrides (None: it says none) and its milliseconds."""
    arguments = "FMWORK ARG --model_name org/m\nFMWORK ARG --model_class C"
    parts = [lines.JsonLine("LOG", {"format": 1}).format(), arguments, 'FMWORK ENV {"device": "d0"}']
    clock = 10**18
    for place, (letter, (overrides, milliseconds)) in enumerate(variants.items()):
        said = {} if overrides is None else {"overrides": overrides}
        where = {"input_size": 8, "batch_size": 4, "reps": 50, "variant": letter, **said}
        parts.append(lines.JsonLine("CASE", where).format())
        parts.append(f'FMWORK ENV {{"device": "d0", "variant": "{letter}"}}')
        start = clock
        durations = noisy(milliseconds / 10, seed=noise_seed + place)
        for index, value in enumerate(durations):
            duration = round(value * 1e6)
            parts.append(lines.Rep(index + 1, 50, clock, clock + duration, duration).format())
            clock += duration
        parts.append(result_of(start, clock, 8, durations))
    return "\n".join(parts) + "\n"


def ratios(text):
    return {shape["variant"]: round(shape["ratio"], 1) for shape in told(text)["shapes"]}


def test_variants_are_matched_by_what_they_override(compare):
    base = variants_text({"A": (None, 10), "B": ("--compile", 5), "C": ("--threads 2", 20)})
    new = variants_text({"A": (None, 10), "B": ("--threads=2", 20), "C": ("--compile", 5)}, noise_seed=9)
    assert ratios(compare(base, new, words=JSON)) == {None: 1.0, "--compile": 1.0, "--threads 2": 1.0}
    assert "  --threads 2  " in compare(base, new)


def test_letters_alone_match_nothing(compare):
    base = variants_text({"A": (None, 10), "B": ("--compile", 5)})
    new = variants_text({"A": (None, 10), "B": ("--threads 2", 20)}, noise_seed=9)
    found = told(compare(base, new, words=JSON))
    assert [shape["variant"] for shape in found["shapes"]] == [None]
    assert [key["variant"] for key in found["only_base"] + found["only_new"]] == ["--compile", "--threads 2"]
    only = variants_text({"B": ("--threads 2", 20)}), variants_text({"B": ("--compile", 20)})
    said = compare(*only, code=2)
    assert "a.log has --threads 2 and" in said and "b.log has --compile;" in said


def test_a_variant_whose_overrides_are_not_known_matches_nothing(compare):
    found = told(compare(*[variants_text({"A": (None, 10), "B": (None, 5)}, seed) for seed in (0, 9)], words=JSON))
    assert [shape["variant"] for shape in found["shapes"]] == [None]


def test_two_variants_that_override_the_same_are_kept_apart(compare):
    text = variants_text({"A": (None, 10), "B": ("", 5), "C": ("", 20)})
    assert ratios(compare(text, text, words=JSON)) == {
        None: 1.0, "the same command": 1.0, "the same command (2)": 1.0,
    }  # fmt: skip


def test_a_is_what_a_plain_run_measures(compare):
    plain = log_text({8: noisy(seed=5)}, '{"device": "d0"}')
    assert ratios(compare(plain, variants_text({"A": (None, 10), "B": ("--compile", 5)}), words=JSON)) == {None: 1.0}


def test_across_variant_needs_one_variant_a_side(compare):
    both = variants_text({"A": (None, 10), "B": ("--compile", 5)})
    said = compare(log_text({8: noisy()}, '{"device": "d0"}'), both, words=["--across", "variant"], code=2)
    assert "b.log: holds several results of one shape (variant A and --compile)" in said
    one = variants_text({"B": ("--compile", 5)})
    found = told(compare(log_text({8: noisy()}, '{"device": "d0"}'), one, words=["--across", "variant", *JSON]))
    assert found["shapes"][0]["ratio"] == pytest.approx(0.5, abs=0.01)
