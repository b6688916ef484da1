from pathlib import Path

import pytest

from . import tiny


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return tiny.queries()


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_teacher(tmp_path_factory.mktemp("teacher") / "tiny-teacher")
