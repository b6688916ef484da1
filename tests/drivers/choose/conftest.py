import pytest

from fmbench import cli, lines
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
def choose(wings, capfd, restore_torch, tmp_path, monkeypatch):
    """choose(*words) -> exit code, lines of the log, stdout, stderr."""
    monkeypatch.syspath_prepend(wings)

    def run(*words, log=tmp_path / "choice.log", data=("--dataset", wings / "wings")):
        model = ["--model_name", wings / "tiny", "--log", log, "--encoding_cache_dir", tmp_path / "vectors"]
        code = cli.main(["choose", *map(str, [*model, *data, *words])])
        done = capfd.readouterr()
        text = log.read_text() if log.exists() else ""
        return code, [line for row in text.splitlines() if (line := lines.parse_line(row))], done.out, done.err

    return run
