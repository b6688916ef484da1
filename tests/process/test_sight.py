"""`fmbench compare --fail-on regression` says which regressions its runs could not have shown."""

import re

import pytest

from fmbench.process.comparing.compare import main

from .test_compare import log_text, noisy, told

FAIL = ("--fail-on", "regression")
QUIET = {8: noisy(seed=1, count=400, noise=0.01), 16: noisy(seed=2, count=400, noise=0.01)}


@pytest.fixture
def run(tmp_path, capsys):
    """Compare two logs; return the exit code, what is on stdout, and what is on stderr."""

    def of(base, new, *words):
        for name, shapes in (("base", base), ("new", new)):
            (tmp_path / name).write_text(log_text(shapes))
        code = main([str(tmp_path / "base"), str(tmp_path / "new"), *words])
        return code, *capsys.readouterr()

    return of


def test_noise_says_what_it_hides(run):
    base, new = ({8: noisy(seed=seed, noise=0.3), 16: QUIET[16]} for seed in (3, 4))
    code, out, err = run(base, new, *FAIL, "--format", "markdown")
    hidden = "shapes too noisy to show a regression of 3%: 1 of 2; the smallest that would be called one in 4 of 5 such"
    assert code == 0 and hidden in err and f"Not seen: {hidden}" in out
    shape = told(run(base, new, "--format", "json")[1])["shapes"][0]
    assert shape["detectable"] > 0.03
    (said,) = re.findall(r"such comparisons: ([\d.]+)%$", err, re.MULTILINE)
    assert float(said) == pytest.approx(100 * shape["detectable"], rel=0.05)


def test_a_regression_as_large_as_was_said_is_called_one(run):
    base, new = ({8: noisy(seed=seed, noise=0.3)} for seed in (3, 4))
    seen = told(run(base, new, "--format", "json")[1])["shapes"][0]["detectable"]
    slower = {8: new[8] * (1 + 2 * seen)}
    code, out, err = run(base, slower, *FAIL)
    assert code == 1 and "too noisy" not in out + err


def test_too_few_repetitions_show_none(run):
    code, out, err = run({8: [10, 11, 12]}, {8: [20, 21, 22]}, *FAIL)
    hidden = "shapes of too few repetitions to show any regression, however large: 1 of 1"
    assert code == 0 and hidden in err and hidden in out


@pytest.mark.parametrize("ratio", [1.001, 1.02])
def test_runs_that_would_show_it_say_nothing(run, ratio):
    assert run(QUIET, {size: ratio * durations for size, durations in QUIET.items()}, *FAIL)[0::2] == (0, "")


def test_who_does_not_ask_hears_it_in_the_report_alone(run):
    _, out, err = run({8: noisy(seed=3, noise=0.3)}, {8: noisy(seed=4, noise=0.3)})
    assert "Not seen: " in out and err == ""
