"""`fmbench fidelity matrix`: two versions of a package that brings a probe, from an index on disk."""

import json
import zipfile

import pytest

from fmbench import cli
from fmbench.drivers.fidelity.environments import Environment, reason_of
from fmbench.drivers.fidelity.matrix import without
from fmbench.errors import UsageError
from tests.tiny_model import write_collection, write_model

CODE = """
import torch
from fmbench.fidelity.probe import Probe

class Drifting(Probe):
    name = "drifting"
    summary = "one number of its version"

    def run(self, context):
        yield "version", torch.tensor([{number}.0])
"""


def write_wheel(index, number):
    """Put version `number` of the package `drifting` into a simple index on disk."""
    name = f"drifting-{number}.0"
    files = {
        "drifting.py": CODE.format(number=number),
        f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: drifting\nVersion: {number}.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": "[fmbench.probes]\ndrifting = drifting:Drifting\n",
    }
    record = f"{name}.dist-info/RECORD"
    files[record] = "".join(f"{path},,\n" for path in [*files, record])
    folder = index / "drifting"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


@pytest.mark.slow
def test_two_versions_of_a_package_are_compared_and_a_third_says_why_it_is_not_there(tmp_path, capfd):
    write_model(tmp_path / "tiny")
    write_collection(tmp_path / "wings")
    for number in (1, 2):
        write_wheel(tmp_path / "index", number)
    versions = [word for version in ("1.0", "3.0", "2.0") for word in ("--with", f"drifting=={version}")]
    model = ["--platform", "cpu", "--threads", "1", "--model_name", tmp_path / "tiny", "--dataset", tmp_path / "wings"]
    where = ["--index-url", (tmp_path / "index").as_uri(), "--environments", tmp_path / "environments"]
    words = [*versions, *model, *where, "--probes", "tokens,index,search,drifting", "--format", "json"]
    code = cli.main(["fidelity", "matrix", *map(str, [*words, "--out", tmp_path / "first"])])
    done = capfd.readouterr()
    assert code == 0, done.err
    found = json.loads(done.out)
    first, third, second = found["versions"]
    assert first["failure"] is None and second["failure"] is None
    assert third["failure"].startswith("cannot be installed: ") and "drifting==3.0" in third["failure"]
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"]) == ("drifting==1.0", "drifting==2.0")
    assert pair["comparison"]["first_not_equal"] == "drifting/version"
    verdicts = {row["artifact"]: row["verdict"] for row in pair["comparison"]["artifacts"]}
    assert verdicts.pop("drifting/version") == "different" and set(verdicts.values()) == {"equal"}
    assert len(pair["swap"]) == 6 and {drift["drift"]["verdict"] for drift in pair["swap"]} == {"equal"}
    assert len(list((tmp_path / "environments").glob("*/fmbench-ready.json"))) == 2
    kept = ("environments/*/pyvenv.cfg", "first/*/manifest.json")
    made = {path: path.stat().st_mtime_ns for pattern in kept for path in tmp_path.glob(pattern)}
    assert len(made) == 5
    place = words.index("drifting==3.0")
    again = words[: place - 1] + words[place + 1 :]
    assert cli.main(["fidelity", "matrix", *map(str, [*again, "--out", tmp_path / "first"])]) == 0
    done = capfd.readouterr()
    assert json.loads(done.out)["pairs"] == found["pairs"] and "by the same command, and is kept" in done.err
    assert made == {path: path.stat().st_mtime_ns for pattern in kept for path in tmp_path.glob(pattern)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name two versions at least"),
        (["--with", "torch==2.12.1"], "name two versions at least"),
        (["--with", "a==1", "--with", "a==1"], "--with a==1: given twice"),
        (["--with", "a==1", "--with", "--pre"], "expected one argument"),
        (["--with", "a==1", "--with", "a --pre"], "and no options"),
        (["--with", "a==1", "--with", "a==2", "--probs", "x"], "unknown argument '--probs'"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, capsys, tmp_path):
    model = ["--platform", "cpu", "--model_name", "x", "--texts", "nothing.txt", "--out", str(tmp_path / "out")]
    assert cli.main(["fidelity", "matrix", *words, *model]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["fidelity", "matrix", "--help"])
    printed = capsys.readouterr().out
    assert stopped.value.code == 0 and "--with REQ" in printed and "--platform" in printed


def test_environments_are_told_apart_by_what_is_installed_and_from_where(tmp_path):
    make = lambda requirement, *options: Environment(requirement, options, tmp_path).folder  # noqa: E731
    folders = {make("a==1"), make("a==2"), make("a==1", "--index-url", "x"), make("a==1 b")}
    assert len(folders) == 4 and make("a==1") in folders
    with pytest.raises(UsageError, match="and no options"):
        _ = make("--index-url=https://elsewhere a")


def test_an_installers_reason_holds_no_address_of_the_user():
    text = (
        "Looking in indexes: https://me:secret@host/simple\nERROR: no version of x at https://me:secret@host/simple\n"
    )
    assert "secret" not in reason_of(text, ["--index-url", "https://me:secret@host/simple"])
    assert reason_of(text, ["--index-url", "z"]) == "ERROR: no version of x at https://...@host/simple"


def test_an_argument_is_left_out_with_its_value():
    assert without(["--probes", "a", "--seed", "1"], "probes") == ["--seed", "1"]
    assert without(["--probes=a", "--seed", "1"], "probes") == ["--seed", "1"]
