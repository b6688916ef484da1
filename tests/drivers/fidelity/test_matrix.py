"""`fmbench fidelity matrix`: two versions of a package that brings a probe, from an index on disk."""

import subprocess
import zipfile

import pytest

from fmbench import cli, lines
from fmbench.capture.reader import ArtifactReader
from fmbench.claim import one_writer
from fmbench.drivers.fidelity.environments import Environment, InstallError, reason_of
from fmbench.ending import Terminated
from fmbench.errors import UsageError
from tests.tiny_model import write_collection, write_model

MAKE = Environment.make
CODE = """
import torch
from fmbench.drivers.fidelity.probe import Probe

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


def said(out):
    """What the FID lines of a log say."""
    return [line.data for text in out.splitlines() if lines.is_json(line := lines.parse_line(text), "FID")]


@pytest.mark.slow
def test_two_versions_of_a_package_are_compared_and_a_third_says_why_it_is_not_there(tmp_path, capfd):
    write_model(tmp_path / "tiny")
    write_collection(tmp_path / "wings")
    for number in (1, 2):
        write_wheel(tmp_path / "index", number)
    versions = [word for version in ("1.0", "3.0", "2.0") for word in ("--with", f"drifting=={version}")]
    model = ["--platform", "cpu", "--threads", "1", "--model_name", tmp_path / "tiny", "--dataset", tmp_path / "wings"]
    where = ["--index-url", (tmp_path / "index").as_uri(), "--environments", tmp_path / "environments"]
    words = [*versions, *model, *where, "--probes", "tokens,index,search,drifting"]
    code = cli.main(["fidelity", "matrix", *map(str, [*words, "--out", tmp_path / "first"])])
    done = capfd.readouterr()
    assert code == 1, done.err
    found = said(done.out)
    (third,) = [row for row in found if row["verdict"] == "failed"]
    assert third["variant"] == "drifting==3.0" and third["failure"].startswith("cannot be installed: ")
    compared = [row for row in found if row.get("reference")]
    assert {(row["reference"], row["variant"]) for row in compared} == {("drifting==1.0", "drifting==2.0")}
    assert [row["first"] for row in found if "first" in row][-1] == "drifting/version"
    verdicts = {row["artifact"]: row["verdict"] for row in compared if row["kind"] in ("tensor", "ranking")}
    assert verdicts.pop("drifting/version") == "different" and set(verdicts.values()) == {"equal"}
    assert [row["verdict"] for row in compared if row["kind"] == "swap"] == ["equal"] * 6
    assert len(list((tmp_path / "environments").glob("*/fmbench-ready.json"))) == 2
    kept = ("environments/*/pyvenv.cfg", "first/*/manifest.json")
    made = {path: path.stat().st_mtime_ns for pattern in kept for path in tmp_path.glob(pattern)}
    assert len(made) == 5
    place = words.index("drifting==3.0")
    again = words[: place - 1] + words[place + 1 :]
    assert cli.main(["fidelity", "matrix", *map(str, [*again, "--out", tmp_path / "first"])]) == 0
    done = capfd.readouterr()
    assert [row for row in said(done.out) if row.get("reference")] == compared
    assert "by the same command, and is kept" in done.err
    assert made == {path: path.stat().st_mtime_ns for pattern in kept for path in tmp_path.glob(pattern)}


@pytest.fixture
def matrix(tmp_path, monkeypatch, capfd, restore_torch):
    """matrix(words, ...) -> (exit code, stdout, stderr) of two versions that are this environment, in this process."""
    write_model(tmp_path / "tiny")
    (tmp_path / "texts.txt").write_text("wing flow\nshock wave\n")

    printed = []  # by the matrix itself, before it runs another command in this process

    def run(environment, words):
        printed.append(capfd.readouterr().out)
        code = cli.main(list(words))
        done = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, done.out, done.err)

    monkeypatch.setattr(Environment, "make", lambda environment: None)
    monkeypatch.setattr(Environment, "run", run)
    monkeypatch.chdir(tmp_path)

    def call(*words, versions=("a==1", "a==2")):
        ours = [word for version in versions for word in ("--with", version)]
        usual = {
            "--platform": "cpu", "--threads": "1", "--model_name": "tiny", "--out": "out", "--probes": "tokens,pooled",
            "--texts": "texts.txt",
        }  # fmt: skip
        if "--dataset" in words:
            del usual["--texts"]
        ours += [word for name, value in usual.items() if name not in words for word in (name, value)]
        says = []
        monkeypatch.setattr("fmbench.console.say", says.append)
        printed.clear()
        code = cli.main(["fidelity", "matrix", *ours, *words])
        return code, "".join([*printed, capfd.readouterr().out]), "\n".join(says)

    return call


def test_captures_are_kept_only_while_all_that_decides_them_is_what_it_was(matrix, tmp_path, monkeypatch):
    assert matrix()[0] == 0
    code, _, err = matrix()
    assert code == 0 and err.count("by the same command, and is kept") == 2
    (tmp_path / "texts.txt").write_text("drag lift\n")
    code, _, err = matrix()
    assert code == 0 and err.count("is captured again: the texts are others now") == 2
    assert ArtifactReader(tmp_path / "out" / "a-1").manifest.text_count == 2
    write_model(tmp_path / "tiny", seed=2)
    code, _, err = matrix()
    assert code == 0 and err.count("is captured again: the weights are others now") == 2
    config = tmp_path / "tiny" / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    code, _, err = matrix()
    assert code == 0 and err.count("is captured again: the configuration is another now") == 2
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    code, _, err = matrix()
    assert code == 0 and err.count("captured again: variables.ONEDNN_DEFAULT_FPMATH_MODE: None then, BF16 now") == 2
    (tmp_path / "out" / "a-2" / "manifest.json").unlink()
    code, _, err = matrix()
    assert code == 0 and err.count("and is kept") == err.count("is captured again: ") == 1
    code, _, err = matrix("--seed", "3")
    assert code == 2 and "was captured by another command; name another --out" in err


def test_captures_are_made_again_for_other_judgements(matrix, tmp_path):
    write_collection(tmp_path / "wings")
    assert matrix("--dataset", "wings")[0] == 0
    assert matrix("--dataset", "wings")[2].count("and is kept") == 2
    with (tmp_path / "wings" / "qrels" / "test.tsv").open("a") as stream:
        stream.write("q0\td9\t1\n")
    assert matrix("--dataset", "wings")[2].count("is captured again: the judgements are others now") == 2


@pytest.mark.parametrize(
    ("words", "expected", "message"),
    [
        (["--probes", "hiden"], 2, "--probes hiden: unknown; did you mean hidden"),
        (["--platform", "hpu"], 3, "--platform hpu is not usable here"),
        (["--out", "texts.txt"], 2, "--out texts.txt: is a file; name a folder"),
        (["--model_name", "gone/gone/gone"], 2, "no model folder at"),
    ],
)
def test_what_no_environment_could_mend_is_said_before_one_is_made(words, expected, message, matrix, monkeypatch):
    monkeypatch.setattr(Environment, "make", lambda environment: pytest.fail("an environment was made"))
    code, out, err = matrix(*words, versions=("torch==1", "torch==2"))
    assert (code, out) == (expected, "") and message in err, err


def test_a_probe_may_come_with_a_package_that_is_not_installed_here(matrix):
    code, out, _ = matrix("--probes", "theirs", versions=("torch==9", "no-such-package==2"))
    assert code == 1 and [row["failure"].partition(":")[0] for row in said(out)] == ["cannot capture"] * 2


def test_the_order_is_that_of_the_command_line_and_a_failure_is_a_1(matrix, monkeypatch):
    def make(environment):
        if environment.requirement == "a==2":
            raise InstallError("no such version")

    monkeypatch.setattr(Environment, "make", make)
    code, out, _ = matrix(versions=("a==1", "a==2", "a==3", "a==4"))
    rows = [row for row in said(out) if row["kind"] in ("capture", "comparison") and row["verdict"] != "incomplete"]
    assert code == 1 and [(row.get("reference"), row["variant"], row["verdict"]) for row in rows] == [
        (None, "a==1", "complete"), (None, "a==2", "failed"), (None, "a==3", "complete"), ("a==1", "a==3", "equal"),
        (None, "a==4", "complete"), ("a==3", "a==4", "equal"),
    ]  # fmt: skip
    assert rows[1]["failure"] == "cannot be installed: no such version"


def test_what_is_stopped_has_said_the_versions_that_are_done_and_goes_on(matrix, monkeypatch):
    def make(environment):
        if environment.requirement == "a==3":
            raise Terminated

    versions = ("a==1", "a==2", "a==3", "a==4")
    with monkeypatch.context() as patched:
        patched.setattr(Environment, "make", make)
        code, out, err = matrix(versions=versions)
    assert code == 143 and "2 of 4 versions are done; the same command goes on" in err
    assert [row["variant"] for row in said(out) if row["kind"] == "capture"] == ["a==1", "a==2"]
    code, out, err = matrix(versions=versions)
    assert code == 0 and err.count("by the same command, and is kept") == 2
    assert sum(row["kind"] == "comparison" and row["verdict"] == "equal" for row in said(out)) == 3


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
    for name in ("--texts", "--dataset", "--documents", "--split", "--colbert", "--probes"):
        assert f"\n  {name} " in printed
    assert "exit codes:" in printed


def test_an_environment_that_another_run_makes_is_not_made_over(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(Environment, "make", MAKE)
    environment = Environment("a==1", (), tmp_path / "environments")
    with one_writer(environment.folder, "--environments"):
        code, _, err = matrix("--environments", str(environment.cache))
        assert code == 2 and f"--environments {environment.folder}: another run writes to it (process " in err
        assert list(environment.folder.iterdir()) == []


def test_an_environment_that_is_made_is_kept_and_half_of_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(Environment, "install", lambda environment: None)
    environment = Environment("a==1", (), tmp_path / "environments")
    rest = environment.folder / "bin" / "rest"
    rest.parent.mkdir(parents=True)
    rest.touch()
    environment.make()
    assert environment.python.exists() and not rest.exists()
    rest.touch()
    environment.make()
    assert rest.exists()


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
