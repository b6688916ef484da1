"""How threads wait is set before torch is there, never against the environment, and stands in the log."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from fmbench import facts, lines, torch_settings
from fmbench.cli import main
from tests.tiny_model import write_collection, write_model


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing, and a process without torch."""
    for name in torch_settings.VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is undone, whatever the test leaves
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def said() -> dict[str, str]:
    """Return what the fingerprint says of waiting."""
    return {name: value for name, value in facts.variables().items() if name in torch_settings.VARIABLES}


def test_a_short_spin_unless_the_environment_says_how(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    torch_settings.spin_briefly()
    assert said() == {"OMP_WAIT_POLICY": "PASSIVE"}
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setitem(os.environ, "GOMP_SPINCOUNT", "7")
    torch_settings.spin_briefly()
    assert said() == {"GOMP_SPINCOUNT": "7"}
    del os.environ["GOMP_SPINCOUNT"]
    torch_settings.spin_briefly()
    assert said() == {"GOMP_SPINCOUNT": torch_settings.SPINS}


def test_torch_has_read_the_environment_when_it_is_imported(
    plain: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_settings)
    torch_settings.spin_briefly()
    assert "set GOMP_SPINCOUNT=1000" in capsys.readouterr().err and said() == {}
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    torch_settings.spin_briefly()
    assert said() == {"OMP_WAIT_POLICY": "ACTIVE"}


@pytest.mark.slow
def test_a_run_from_the_shell_says_so(tmp_path) -> None:
    words = ["--model_name", write_model(tmp_path / "tiny"), "--dataset", write_collection(tmp_path / "wings")]
    words += ["--encoding_cache_dir", tmp_path / "cache"]
    variables = {name: value for name, value in os.environ.items() if name not in torch_settings.VARIABLES}
    command = [sys.executable, "-m", "fmbench", "retrieve", "encode", "--platform", "cpu", "--threads", "1"]
    ran = subprocess.run([*command, *words], env=variables, capture_output=True, text=True, check=True)
    parsed = [lines.parse_line(line) for line in ran.stdout.splitlines()]
    (found,) = [line.data["variables"] for line in parsed if lines.is_json(line, "ENV") and "variables" in line.data]
    assert found["GOMP_SPINCOUNT"] == torch_settings.SPINS


@pytest.mark.slow
@pytest.mark.parametrize(("other", "spins"), [("--platform null", torch_settings.SPINS), ("--threads 2", None)])
def test_variants_on_different_platforms_spin_briefly(other: str, spins: str | None, tmp_path) -> None:
    words = ["--model_name", write_model(tmp_path / "tiny"), "--model_class", "BertModel", "--weights", "random"]
    words += ["--input_sizes", "8", "--batch_sizes", "1", "--reps", "2", "--threads", "1", "--vs", other]
    variables = {name: value for name, value in os.environ.items() if name not in torch_settings.VARIABLES}
    command = [sys.executable, "-m", "fmbench.drivers.embed", "--platform", "cpu", *words]
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    parsed = [lines.parse_line(line) for line in ran.stdout.splitlines()]
    (found,) = [line.data["variables"] for line in parsed if lines.is_json(line, "ENV") and "variables" in line.data]
    assert found.get("GOMP_SPINCOUNT") == spins


# Whatever else the machine does, four rounds spend the budget.
CHOOSES = """
import sys
from fmbench.cli import main
from fmbench.drivers.choose.entrants import Budget
from fmbench.drivers.choose.turns import Turns
real, rounds = Turns._round, []
Turns._round = lambda *given: (rounds.append(given), real(*given))[1]
Budget.left = property(lambda self: self.seconds * (1 - len(rounds) / 4))
sys.exit(main(["choose", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_a_choice_and_its_check_spin_briefly_whatever_platforms_are_asked(tmp_path) -> None:
    (tmp_path / "texts.txt").write_text("wing flow\nshock wave heat\nlayer pressure drag lift\nplate cone jet\n")
    words = ["--model_name", write_model(tmp_path / "tiny"), "--texts", tmp_path / "texts.txt", "--profile", "bulk"]
    words += ["--threads", "1", "--tokens_per_batch", "64", "--vs", "--model:attn_implementation eager"]
    words += [word for name in ("openvino", "onnxruntime") if find_spec(name) for word in ("--without", name)]
    words += ["--without", "cpu inductor"]
    variables = {name: value for name, value in os.environ.items() if name not in torch_settings.VARIABLES}
    for number, more in enumerate((["--out", tmp_path / "c.json"], ["--check", tmp_path / "c.json"])):
        log = tmp_path / f"{number}.log"
        command = [sys.executable, "-c", CHOOSES, *(words if number == 0 else ()), *more, "--log", log]
        command += ["--budget", "10m", "--encoding_cache_dir", tmp_path / "cache"]
        ran = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert log.exists() and (tmp_path / "c.json").exists(), ran.stderr
        parsed = [lines.parse_line(line) for line in log.read_text().splitlines()]
        (found,) = [one.data["variables"] for one in parsed if lines.is_json(one, "ENV") and "variables" in one.data]
        assert found["GOMP_SPINCOUNT"] == torch_settings.SPINS


@pytest.mark.parametrize("words", ["quality --tasks gone.yaml --model_name gone", "serve --model_name gone"])
def test_commands_that_compute_texts_spin_briefly(words: str, plain: None) -> None:
    assert main([*words.split(), "--platform", "cpu"]) == 2
    assert said() == {"GOMP_SPINCOUNT": torch_settings.SPINS}
