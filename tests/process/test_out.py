"""`process --out FILE`: whole or not at all; and what a full or odd output says."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.process.cli import main

from .test_formats import res


def test_a_file_is_replaced_and_keeps_its_permissions(golden, tmp_path):
    target, link = tmp_path / "x.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert main(["--path", str(golden), "--out", str(link)]) == 0
    assert link.is_symlink() and len(json.loads(target.read_text())) == 8
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_may_be_read_by_others(golden, tmp_path):
    before = os.umask(0o022)
    try:
        assert main(["--path", str(golden), "--out", str(tmp_path / "x")]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


@pytest.mark.parametrize("target", ["no/such/folder/x", "."])
def test_a_target_that_cannot_be_written(target, golden, tmp_path, capsys):
    assert main(["--path", str(golden), "--out", str(tmp_path / target)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("process: error: ") and f"{tmp_path / target}: " in line


def test_a_log_that_cannot_be_read_leaves_the_old_file(tmp_path, capsys):
    (tmp_path / "x.log").write_text(res() + 'FMWORK LOG {"format": 99}\n')
    (tmp_path / "out").write_text("old")
    assert main(["--path", str(tmp_path / "x.log"), "--out", str(tmp_path / "out")]) == 2
    assert (tmp_path / "out").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", "out"}


@pytest.mark.parametrize("size", [1, 300])
def test_a_full_disk_leaves_the_old_file(size, tmp_path):
    (tmp_path / "x.log").write_text(res() * size)
    (tmp_path / "out").write_text("old")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "from fmbench.process.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "--path", tmp_path / "x.log", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"process: error: {tmp_path / 'out'}: not written (File too large)\n"
    assert (tmp_path / "out").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", "out"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_is_written_and_not_replaced(golden, capsys):
    assert main(["--path", str(golden), "--out", os.devnull]) == 0
    assert main(["--path", str(golden), "--out", "/dev/full"]) == 1
    assert capsys.readouterr().err == "process: error: /dev/full: not written (No space left on device)\n"
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_standard_output_that_is_full_is_one_line(golden):
    code = "import sys; from fmbench.process.cli import main; sys.exit(main(sys.argv[1:]))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "--path", golden], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "process: error: standard output: not written (No space left on device)"


@pytest.mark.parametrize("option", ["--out", "--dashboard"])
@pytest.mark.parametrize("named", ["x.log", "link.log", "folder"])
def test_what_is_read_is_not_written_over(option, named, golden, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    log = tmp_path / ("folder/x.log" if named == "folder" else "x.log")
    log.write_bytes((golden / "format-1.log").read_bytes())
    (tmp_path / "link.log").symlink_to(log)
    target = log if named == "folder" else tmp_path / named
    before = log.read_bytes()
    assert main(["--path", str(tmp_path / named), option, str(target)]) == 2
    said = f"process: error: {option} {target}: is one of the files that are read; name another\n"
    assert capsys.readouterr().err == said
    assert log.read_bytes() == before


def test_two_outputs_are_two_files(golden, tmp_path, capsys):
    target = tmp_path / "x"
    assert main(["--path", str(golden), "--out", str(target), "--dashboard", str(target)]) == 2
    assert capsys.readouterr().err == f"process: error: --dashboard {target}: is the file of --out too; name another\n"
    assert not target.exists()


def test_a_log_that_is_named_twice_is_read_once(tmp_path, capsys):
    (tmp_path / "x.log").write_text(res())
    assert main(["--path", str(tmp_path / "x.log"), "--path", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
