"""What imports print."""

import importlib.util
import logging
import subprocess
import sys

import pytest

from fmbench.torch_settings import IMPORT_NOISE


@pytest.mark.parametrize(
    ("name", "noise"),
    [
        ("torchao", "Failed to load /x/_C_mxfp8.so: Could not load this library"),
        ("torch.utils._pytree", "%s is an Enum subclass and is now natively supported by torch.compile as an ..."),
    ],
)
def test_only_the_messages_of_imports_are_kept_away(name: str, noise: str, caplog) -> None:
    assert name in IMPORT_NOISE
    logger = logging.getLogger(name)
    with caplog.at_level(logging.WARNING):
        logger.warning(noise)
        logger.warning("something else: %s", "x")
        logging.getLogger("fmbench").warning(noise)
    assert [record.message for record in caplog.records] == ["something else: x", noise]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="pip install 'fmbench[int8]'")
def test_importing_the_libraries_is_silent() -> None:
    code = "import fmbench, torch, transformers, torchao.quantization"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
