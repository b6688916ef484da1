import os
import socket
import subprocess
import sys

import pytest

from fmbench import facts
from fmbench.distributed import environment, local
from fmbench.distributed.environment import Launch, read_launch, said_once
from fmbench.errors import PlatformError, UsageError

WHOLE = {"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "host", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("variables", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"RANK": "3"}])
def test_one_process_alone(variables):
    assert read_launch(variables) == Launch(0, 1, 0, "")


def test_several():
    assert read_launch(WHOLE) == Launch(1, 3, 1, "host")
    assert read_launch({**WHOLE, "LOCAL_RANK": "0"}) == Launch(1, 3, 0, "host")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": ""}, "WORLD_SIZE is set, and RANK not; start with torchrun"),
        ({"MASTER_ADDR": "", "MASTER_PORT": ""}, "and MASTER_ADDR, MASTER_PORT not"),
        ({"RANK": "3"}, "RANK=3: ranks of WORLD_SIZE=3 count from 0 to 2"),
        ({"RANK": "-1"}, "RANK=-1: is no number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: is no number"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT=http: is no number"),
    ],
)
def test_what_is_wrong(change, message):
    with pytest.raises(UsageError, match=message):
        read_launch({**WHOLE, **change})


@pytest.mark.parametrize(
    ("variables", "error", "ends"),
    [
        ({}, UsageError, UsageError),
        ({**WHOLE, "RANK": "0"}, UsageError, UsageError),
        (WHOLE, UsageError, SystemExit),
        ({**WHOLE, "LOCAL_RANK": "0"}, UsageError, UsageError),  # the first of another machine: its files are others
        (WHOLE, PlatformError, PlatformError),
        ({**WHOLE, "MASTER_PORT": ""}, UsageError, UsageError),
    ],
)
def test_one_rank_of_a_machine_says_what_is_wrong(monkeypatch, variables, error, ends):
    monkeypatch.setattr(environment, "SPOKEN", 0)
    for name in (*WHOLE, "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ends) as raised, said_once():
        raise error("no such file")
    assert not isinstance(raised.value, SystemExit) or raised.value.code == 2


def test_ranks_meet_at_a_port_that_nobody_has_or_is_handed(monkeypatch):
    port = local.free_port()
    assert port in local.PORTS
    monkeypatch.setattr(local, "PORTS", range(port, port + 1))
    assert local.free_port() == port  # it was not kept
    with socket.create_server(("127.0.0.1", port)), pytest.raises(UsageError, match=f"no port from {port} to {port}"):
        local.free_port()


STORE_GOES = """
import sys
from datetime import timedelta
from fmbench.distributed.environment import keep_stacks_out
if sys.argv[1] == "quiet":
    keep_stacks_out()
from torch.distributed import TCPStore
served = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
reached = TCPStore("127.0.0.1", served.port, is_master=False)
del served
try:
    reached.add("beat", 1)
except RuntimeError:
    print("lost")
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["quiet", "loud"])
def test_no_stack_is_said_where_a_connection_breaks(how):
    variables = {name: value for name, value in os.environ.items() if name != "TORCH_CPP_LOG_LEVEL"}
    command = [sys.executable, "-c", STORE_GOES, how]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    assert done.stdout == "lost\n"
    assert ("frame #0" in done.stderr) == (how == "loud"), done.stderr


def test_how_much_torch_says_is_no_fact(monkeypatch):
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    assert "TORCH_CPP_LOG_LEVEL" not in facts.variables()
