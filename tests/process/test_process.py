"""The command line: where logs come from, what is printed, how it fails."""

import gzip
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.process.cli import main

jsonschema = pytest.importorskip("jsonschema", reason="pip install 'fmbench[test]'")

RES = b"FMWORK RES 1.000000000 2.000000000 m C 8 4 2.000 2000.0\n"
COMMAND = (sys.executable, "-c", "import sys; from fmbench.process.cli import main; sys.exit(main())")


def run_program(*arguments, content=b""):
    return subprocess.run([*COMMAND, *arguments], input=content, capture_output=True, check=False)


def failure(printed):
    assert printed.code == 2
    (line,) = printed.warnings
    assert line.startswith("process: error: ")
    return line


# -- sources


def test_a_folder_is_read_to_its_depths_in_order(process, tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for name in ("c.log", "aa.log", "b/deep/x.log.gz", "b/notes.txt"):
        content = RES.replace(b" 1.0", f" 1.{len(name)}".encode()).replace(b" m ", f" {name} ".encode())
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    printed = process("--path", tmp_path)
    assert [row["model"] for row in printed.rows] == ["aa.log", "b/deep/x.log.gz", "c.log"]


def test_several_paths(process, golden):
    printed = process("--path", golden / "seed-example.log", "--path", golden / "format-1.log")
    assert len(printed.rows) == 8


def test_runs_of_different_files_share_nothing(process, tmp_path):
    (tmp_path / "1.log").write_bytes(b"FMWORK ARG --platform a\n" + RES)
    (tmp_path / "2.log").write_bytes(RES.replace(b" 1.0", b" 1.5"))
    assert [row["opts"] for row in process("--path", tmp_path).rows] == [["--platform a"], []]


@pytest.mark.slow
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input(golden, pack):
    log = golden / "format-1.log"
    done = run_program("--path", "-", content=pack(log.read_bytes()))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run_program("--path", str(log)).stdout


def test_a_packed_log_needs_no_ending(process, tmp_path):
    (tmp_path / "log").write_bytes(gzip.compress(RES))
    assert process("--path", tmp_path / "log").statuses == ["OK"]


@pytest.mark.slow
def test_a_packed_log_that_is_cut_off_keeps_what_is_readable(process, tmp_path):
    packed = gzip.compress(b"".join(RES.replace(b" 8 4 ", b" %d 4 " % size) for size in range(5000)))
    path = tmp_path / "run.log.gz"
    path.write_bytes(packed[: len(packed) // 2])
    printed = process("--path", path)
    assert 1000 < len(printed.rows) < 5000
    assert "cut off" in printed.warnings[0]


def test_a_packed_log_that_is_damaged(process, tmp_path):
    packed = bytearray(gzip.compress(os.urandom(3000) + RES))
    packed[1000:1100] = bytes(100)
    path = tmp_path / "run.log.gz"
    path.write_bytes(packed)
    assert "run.log.gz" in failure(process("--path", path))


def test_a_gz_file_that_is_none(process, tmp_path):
    (tmp_path / "run.log.gz").write_bytes(RES)
    assert "gzip" in failure(process("--path", tmp_path / "run.log.gz"))


def test_a_missing_path_is_named_before_anything_is_read(process, tmp_path, golden):
    assert str(tmp_path / "no.log") in failure(process("--path", golden, "--path", tmp_path / "no.log"))


def test_a_folder_without_logs(process, tmp_path):
    assert "*.log" in failure(process("--path", tmp_path))


def test_a_file_that_cannot_be_read(process, tmp_path):
    (tmp_path / "gone.log").symlink_to(tmp_path / "nowhere")
    assert "gone.log" in failure(process("--path", tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello\n"])
def test_a_log_without_results(tmp_path, content, capsys):
    (tmp_path / "x.log").write_bytes(content)
    assert main(["--path", str(tmp_path / "x.log")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert printed.err.startswith(f"warning: {tmp_path / 'x.log'}: no results")


# -- the command line


def test_one_object_a_line(golden, capsys):
    main(["--path", str(golden / "format-1.log")])
    opening, *objects, closing = capsys.readouterr().out.splitlines()
    assert (opening, closing) == ("[", "]")
    assert [json.loads(line.rstrip(","))["input"] for line in objects] == [128, 512, 128, 512, 64, 64, 64]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--path is missing"),
        (["--path"], "--path"),
        (["--pth", "x"], "did you mean --path"),
        (["run.log"], "run.log"),
        (["--follow", "run.log", "--out", "x"], "--follow stands alone; leave out --out"),
        (["--follow", "run.log", "--path", "x", "--format", "csv"], "leave out --path, --format"),
        (["--schema", "--report_to", "wandb"], "--schema stands alone; leave out --report_to"),
    ],
)
def test_a_wrong_command_line(process, arguments, words):
    assert words in failure(process(*arguments))


def test_the_schema_is_printed(capsys):
    assert main(["--schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_the_schema_refuses_what_is_wrong(capsys, golden):
    main(["--schema"])
    validator = jsonschema.Draft202012Validator(json.loads(capsys.readouterr().out))
    main(["--path", str(golden / "seed-example.log")])
    (row,) = json.loads(capsys.readouterr().out)
    assert validator.is_valid([row])
    wrong = [{"itl": "3.691"}, {"status": "FINE"}, {"status": "ERR"}, {"timestamp": 1108911.08}, {"extra": 1}]
    assert [change for change in wrong if validator.is_valid([{**row, **change}])] == []
    assert [key for key in row if validator.is_valid([{k: v for k, v in row.items() if k != key}])] == []


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("--path", "--metadata_id", "--schema", "PARTIAL", "itl", "process --path run.log"):
        assert word in text


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5000])
def test_a_reader_that_goes_away_is_no_traceback(tmp_path, count):
    (tmp_path / "x.log").write_bytes(RES * count)
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    command = [*COMMAND, "--path", tmp_path / "x.log"]
    done = subprocess.run(command, stdout=writing, stderr=-1, env=buffered, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
def test_neither_torch_nor_pandas_is_imported(golden):
    code = (
        "import sys; from fmbench.process.cli import main; main(['--path', sys.argv[1]]);"
        "sys.exit(bool({'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, golden / "format-1.log"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_the_benchmark_runs():
    measure = runpy.run_path(str(Path(__file__).parent.parent / "bench" / "process_log.py"))["measure"]
    seconds, peak = measure(shapes=300, repetitions=100)
    assert seconds > 0
    assert 5e6 < peak < 200e6


def test_a_result_that_its_repetitions_do_not_bear_out_is_a_warning(tmp_path, capsys):
    reps = "".join(f"FMWORK REP {n} 3 {n}.000000000 {n}.500000000 0.500000000\n" for n in (1, 2, 3))
    (tmp_path / "edited.log").write_text(reps + "FMWORK RES 1.0 3.5 m C 8 1 1.000 1000.0\n")
    assert main(["--path", str(tmp_path / "edited.log")]) == 0
    captured = capsys.readouterr()
    assert "contradicted: RES says 1.000 ms, and its repetitions 500.000 ms" in captured.err
    assert json.loads(captured.out)[0]["statistics"]["stable"] is False


def test_one_bad_log_does_not_spoil_the_others(tmp_path, capsys):
    good = "FMWORK RES 1.0 2.0 m C 8 1 1.000 1000.0\n"
    (tmp_path / "a.log").write_text(good)
    (tmp_path / "b.log").write_text('FMWORK LOG {"format": 99}\n')
    (tmp_path / "c.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.log").write_text(good.replace("1.0 2.0", "3.0 4.0"))
    assert main(["--path", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert [row["input"] for row in json.loads(captured.out)] == [8, 8]
    assert "2 of the logs could not be read" in captured.err and "format 99" in captured.err


def test_an_empty_path_is_no_folder(capsys):
    assert main(["--path", ""]) == 2
    assert "the value is empty" in capsys.readouterr().err
