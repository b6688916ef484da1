import random
from dataclasses import replace

import pytest

from fmbench import cli, lines
from fmbench.drivers.choose import entrant
from fmbench.drivers.choose.entrant import Entrant
from tests.noisy import install
from tests.tiny_model import write_collection, write_model


@pytest.fixture(scope="session")
def wings(tmp_path_factory):
    """A folder with `tiny`, a model, `wings`, a collection, and a fake noisy platform."""
    root = tmp_path_factory.mktemp("choose")
    write_model(root / "tiny")
    write_collection(root / "wings", documents=60, queries=20)
    install(root)
    return root


@pytest.fixture
def paced(monkeypatch):
    """Turns take what `--platform:pace` says, milliseconds a text, with 2% noise: whatever else the machine does.

    Each has 16 texts.
    """
    draw, real = random.Random(0), Entrant.encode

    def encode(one, texts, profile):
        found, pace = real(one, texts, profile), one.planned.arguments.literal("platform", "pace")
        if found is None or pace is None:
            return found
        taken = 1e6 * float(pace) * len(texts) * draw.lognormvariate(0, 0.02)
        return replace(found, nanoseconds=int(taken))

    monkeypatch.setattr(Entrant, "encode", encode)
    monkeypatch.setattr(entrant, "TEXTS", {"online": (16, 16), "bulk": (16, 16)})


@pytest.fixture
def choose(wings, capfd, restore_torch, paced, tmp_path, monkeypatch):
    """choose(*words) -> exit code, lines of the log, stdout, stderr."""
    monkeypatch.syspath_prepend(wings)

    def run(*words, log=tmp_path / "choice.log", data=("--dataset", wings / "wings"), model=wings / "tiny"):
        given = ["--model_name", model, "--log", log, "--encoding_cache_dir", tmp_path / "vectors"]
        code = cli.main(["choose", *map(str, [*given, *data, *words])])
        done = capfd.readouterr()
        text = log.read_text() if log.exists() else ""
        return code, [line for row in text.splitlines() if (line := lines.parse_line(row))], done.out, done.err

    return run


@pytest.fixture
def stop_at(monkeypatch):
    """stop_at(n, error) -> the n-th turn raises; returns the turns that were taken since."""
    real = Entrant.encode

    def install(number, error=KeyboardInterrupt):
        taken = []

        def encode(entrant, texts, profile):
            if len(taken) == number:
                raise error
            taken.append((profile, entrant.name))
            return real(entrant, texts, profile)

        monkeypatch.setattr(Entrant, "encode", encode)
        return taken

    return install
