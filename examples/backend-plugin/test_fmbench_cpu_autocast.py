"""The platform keeps fmbench's contract, with each of its options."""

import pytest
from fmbench_cpu_autocast import DTYPES, CpuAutocastBackend

from fmbench.testing import check_backend


@pytest.mark.parametrize("dtype", DTYPES)
def test_contract(dtype: str) -> None:
    check_backend(CpuAutocastBackend, "--platform:dtype", dtype)
