"""What columns are called in --by and in SQL."""

import pytest

from fmbench.errors import UsageError
from fmbench.process.writing.groups import resolve, short_names

NAMES = ["model", "machine", "energy.reason", "memory.reason", "environment.machine", "environment.cpu",
         "environment.openvino_devices.CPU", "environment.packages.torch", "environment.a.x", "environment.b.x",
]  # fmt: skip


def test_facts_have_short_names_where_these_are_nobody_elses():
    assert short_names(NAMES) == {"cpu": "environment.cpu", "torch": "environment.packages.torch"}


def test_a_key_is_a_name_in_full_or_in_short():
    keys = ("machine", "environment.machine", "cpu", "torch", "CPU")
    assert [resolve(key, NAMES) for key in keys] == [
        "machine", "environment.machine", "environment.cpu", "environment.packages.torch",
        "environment.openvino_devices.CPU",
    ]  # fmt: skip
    for key in ("reason", "x", "modle"):
        with pytest.raises(UsageError):
            resolve(key, NAMES)
