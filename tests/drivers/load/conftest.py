import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="pip install 'fmbench[load]'")
pytest.importorskip("uvicorn", reason="pip install 'fmbench[serve]'")

from fmbench import cli, lines
from tests.tiny_model import write_model

ROOT = Path(__file__).resolve().parents[3]
NULL = ("--platform", "null", "--model_name", "none")


@contextlib.contextmanager
def serving(*words, faults=()):
    """Start a server, with faults where there are any; yield its address and its process."""
    module = ["tests.fake_service", *map(str, faults), "--"] if faults else ["fmbench", "serve"]
    command = [sys.executable, "-m", *module, *map(str, words), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            assert address, process.stderr.read()
            yield address, process
        finally:
            process.kill()


def counted(url):
    """How many requests for vectors a server answered."""
    rows = ask(f"{url}/metrics")[2].decode().splitlines()
    return sum(int(row.split()[-1]) for row in rows if row.startswith('te_request_count{method="/v1/embeddings"'))


def ask(url, body=None):
    """Return status, headers and what a route answers."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@pytest.fixture(scope="session")
def null():
    """The address of a null server."""
    with serving(*NULL) as (address, _):
        yield address


@pytest.fixture(scope="session")
def tiny_served(tmp_path_factory):
    """The folder of a tiny model, and the address of a server of it."""
    folder = write_model(tmp_path_factory.mktemp("served") / "tiny")
    with serving("--platform", "cpu", "--threads", "1", "--model_name", folder) as (address, _):
        yield folder, address


@pytest.fixture
def load(capfd):
    """load(*words) -> exit code, JSON data of the lines by kind, stderr."""

    def run(*words, model="none"):
        code = cli.main(["load", *map(str, words), "--model_name", str(model)])
        done = capfd.readouterr()
        found = {}
        for row in done.out.splitlines():
            line = lines.parse_line(row)
            if isinstance(line, lines.JsonLine):
                found.setdefault(line.kind, []).append(line.data)
        run.printed = done.out
        return code, found, done.err

    return run
