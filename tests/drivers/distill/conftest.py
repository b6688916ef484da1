from pathlib import Path

import pytest

from tests.tiny_model import write_model

from . import tiny


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return tiny.queries()


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("teacher") / "tiny-teacher")
