"""Runs `fmbench results` in a folder of its own, as a shell would."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fmbench import lines
from fmbench.process.store.cli import main

from ..log_lines import GOLDEN

COMMAND = (sys.executable, "-c", "import sys; from fmbench.process.store.cli import main; sys.exit(main(sys.argv[1:]))")
BUCKET = "measurements"
# Says at which port it is, and ends with its standard input.
S3_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@dataclass
class Said:
    code: int
    out: list[str]
    err: list[str]

    @property
    def line(self) -> str:
        """The only line of an error."""
        (line,) = self.err
        return line


@pytest.fixture
def results(capsys, tmp_path, monkeypatch):
    """Run `fmbench results WORDS` in tmp_path, with that exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        found = main([str(word) for word in words])
        printed = capsys.readouterr()
        said = Said(found, printed.out.splitlines(), printed.err.splitlines())
        assert said.code == code, said
        return said

    return run


@pytest.fixture
def log(tmp_path):
    """Write a log of one result, and return its path."""

    def write(name="x.log", latency=2.0, start=1_700_000_000, driver="embed", model="org/m", batch=4, **facts):
        text = [
            lines.JsonLine("LOG", {"format": 1, "program": "fmbench 0.1.0", "driver": driver}),
            lines.JsonLine("ENV", {"platform": "cpu", "cpu": "AMD EPYC", "cpu_cores": 2, "threads": 2, **facts}),
            lines.Res(
                start * 10**9, (start + 1) * 10**9, model, "BertModel", 16, batch, latency, batch * 1e3 / latency
            ),
        ]
        path = tmp_path / name
        path.write_text("".join(line.format() + "\n" for line in text))
        return path

    return write


@pytest.fixture
def golden_log():
    return GOLDEN


def files(folder):
    """Every file below a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def start(*words, **options):
    """Start `fmbench results WORDS` as a process."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 server on this machine that keeps all in memory (moto)."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", S3_SERVER], **streams) as server:
        said = server.stdout.readline().split()
        assert said, "the server ended"
        yield "http://{}:{}".format(*said)
        server.communicate()


@pytest.fixture
def s3(s3_server, monkeypatch, tmp_path):
    """A bucket of its own: a URL in it, and a client."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3_server)
    bucket = f"{BUCKET}-{abs(hash(str(tmp_path)))}"
    client.create_bucket(Bucket=bucket)
    return f"s3://{bucket}/nightly/results", client


def keys(s3):
    """Every object below the URL."""
    url, client = s3
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return sorted(item["Key"].removeprefix(f"{prefix}/") for item in found)
