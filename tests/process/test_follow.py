"""`process --follow`: a run that goes on, how far it is, and when it has ended."""

import gzip
import signal
import subprocess
import sys
import threading
import time

import pytest

from fmbench import lines
from fmbench.process.cli import main
from fmbench.process.writing import follow as follow_module
from fmbench.process.writing.follow import Watch, time_text

from .conftest import GOLDEN

COMMAND = (sys.executable, "-c", "import sys; from fmbench.process.cli import main; sys.exit(main())")
END = lines.JsonLine("ENV", {"load_average_end": 1.0})


def head(inputs="8,16", batches="1", *more):
    arguments = [lines.Arg("input_sizes", inputs), lines.Arg("batch_sizes", batches), lines.Arg("reps", "4"), *more]
    return [lines.JsonLine("LOG", {"format": 1}), *arguments]


def shape(size, batch=1, reps=4, millis=None, fail=False, end=True):
    """The lines of one shape; each repetition takes `size x batch` seconds unless told otherwise."""
    place = {"input_size": size, "batch_size": batch}
    duration = round(1e6 * (1e3 * size * batch if millis is None else millis))
    found = [lines.JsonLine("CASE", {**place, "reps": 4})]
    found += [lines.Rep(index + 1, 4, 10**18, 10**18 + duration, duration) for index in range(reps)]
    if end and fail:
        found.append(lines.JsonLine("ERR", {**place, "type": "OutOfMemoryError", "message": "no\x1broom"}))
    elif end:
        found.append(lines.Res(10**18, 10**18, "m", "C", size, batch, duration / 1e6, 1e9 * batch / duration))
    return found


def content(*parts):
    return "".join(line.format() + "\n" for part in parts for line in part).encode()


def watched(*parts):
    watch = Watch("log", print)
    return watch, [row for raw in content(*parts).splitlines(keepends=True) for row in watch.take(raw)]


# -- how far


def test_a_row_a_shape():
    watch, rows = watched(head(), shape(8), shape(16))
    assert [row.split()[:7] for row in rows] == [
        ["1", "of", "2", "8", "1", "8000", "0.100"],
        ["2", "of", "2", "16", "1", "16000", "0.100"],
    ]
    assert watch.whole and not watch.finished


def test_a_failure_is_a_row():
    _, rows = watched(head(), shape(8), shape(16, fail=True))
    assert rows[1].split(maxsplit=5)[5] == "failed: OutOfMemoryError: no\ufffdroom"


def test_the_time_that_is_left():
    watch, rows = watched(head("8,16,32"), shape(8), shape(16, reps=1, end=False))
    assert rows[0].endswith("  3 min")
    assert watch.left == pytest.approx(3 * 16 + 4 * 32)
    assert watch.progress(0) == "1 of 3 shapes, 16 / 1, repetition 1 of 4, about 3 min left"
    assert watch.progress(45).endswith("nothing new for 45 s")


def test_the_first_shape_has_an_estimate_too():
    watch, _ = watched(head("8"), shape(8, reps=1, end=False))
    assert watch.left == pytest.approx(3 * 8)


def test_nothing_is_known_yet():
    watch, rows = watched(head())
    assert (rows, watch.left, watch.progress(0)) == ([], None, "0 of 2 shapes")
    watch, _ = watched([lines.JsonLine("LOG", {"format": 1})], shape(8))
    assert (watch.total, watch.left, watch.whole) == (0, None, False)
    assert watch.progress(0) == "1 of ? shapes"


def test_variants_are_shapes():
    watch, _ = watched(head("8", "1", lines.Arg("vs", "--seed 1"), lines.Arg("vs", "--seed 2")), shape(8))
    assert (watch.done, watch.total) == (1, 3)


def test_every_process_of_a_shape_counts():
    watch, _ = watched(head("8", "1", lines.Arg("repeat", "3")), shape(8), shape(8))
    assert (watch.done, watch.total, watch.whole) == (2, 3, False)


def test_the_end_of_a_run():
    assert watched(head(), shape(8), [END])[0].finished
    isolated = head("8,16", "1", lines.Arg("isolate", "True"))
    assert not watched(isolated, shape(8), [END])[0].finished
    assert watched(isolated, shape(8), [END], shape(16), [END])[0].finished


def test_a_run_that_goes_on_counts_what_was_there():
    first = content(head(), shape(8))
    again = content(head("8,16", "1", lines.Arg("resume", "x.log")), shape(16))
    watch = Watch("log", print)
    rows = [row for raw in (first + again).splitlines(keepends=True) for row in watch.take(raw)]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert watch.whole
    watch = Watch("log", print)
    rows = [row for raw in (first + content(head(), shape(16))).splitlines(keepends=True) for row in watch.take(raw)]
    assert [row.split()[0] for row in rows] == ["1", "1"]


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (0, "0 s"), (99, "99 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times(seconds, text):
    assert time_text(seconds) == text


# -- what is no shape


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("retrieval", [
            "scifact: 300 queries encoded, 150 a second", "scifact: 5,183 documents encoded, 5,183 of them cached",
            "scifact: 300 queries searched, 6000 a second", "scifact: nDCG@10 0.6451 ± 0.0457",
            "second: 2 queries encoded, 200 a second",
        ]),
        ("distill", [
            "teacher: done", "align: step 200 of 1,182, loss 0.251, held out 0.731",
            "align: step 1,182 of 1,182, held out 0.854, all steps done",
            "evaluate: lookup on scifact, 99.0% of nDCG@10 kept",
        ]),
        ("fidelity", ["bert/layer.4: close, least cosine 1 - 1.0e-07", "search/exact: different",
                      "bert/pooler: missing"]),
    ],
)  # fmt: skip
def test_what_other_workloads_measured_is_a_row_too(name, rows, capsys, tmp_path):
    whole = (GOLDEN.parent / f"golden-{name}" / "format-1.log").read_text()
    (tmp_path / "x.log").write_text(whole + END.format() + "\n")
    assert main(["--follow", str(tmp_path / "x.log")]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == rows
    assert printed.err == f"note: {tmp_path / 'x.log'}: the run has ended\n"


def test_a_damaged_line_is_no_news():
    damaged = [
        'FMWORK ENC {"dataset": "x", "role": "query", "texts": "many"}', 'FMWORK IRM {"dataset": "x", "metrics": 3}',
        'FMWORK DST {"stage": 3}', 'FMWORK FID {"artifact": "a", "kind": "variant"}', 'FMWORK SEARCH {"queries": 3',
    ]  # fmt: skip
    watch = Watch("log", lambda _: None)
    assert [row for line in damaged for row in watch.take(f"{line}\n".encode())] == []
    assert watch.progress(0) == "nothing has ended yet"


# -- a file that grows


def test_a_run_that_has_ended_is_shown_at_once(tmp_path, capsys):
    (tmp_path / "x.log").write_bytes(content(head(), shape(8), shape(16), [END]))
    assert main(["--follow", str(tmp_path / "x.log")]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    assert printed.err == f"note: {tmp_path / 'x.log'}: 2 of 2 shapes; the run has ended\n"


def test_a_growing_log_is_followed_in_pieces_of_any_size(tmp_path, capsys):
    path, whole = tmp_path / "x.log", content(head(), shape(8), shape(16, fail=True), [END])
    path.write_bytes(b"")

    def write():
        for start in range(0, len(whole), 97):
            with path.open("ab") as stream:
                stream.write(whole[start : start + 97])
            time.sleep(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    follow_module.follow(str(path), print, every=0.01)
    writer.join()
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_whole_run_without_its_last_line_ends_when_it_is_quiet(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(follow_module, "QUIET", 0.05)
    (tmp_path / "x.log").write_bytes(content(head("8"), shape(8)))
    follow_module.follow(str(tmp_path / "x.log"), print, every=0.01)
    assert "1 of 1 shapes" in capsys.readouterr().err


def test_a_log_that_begins_again(tmp_path, capsys, monkeypatch):
    path, real, read = tmp_path / "x.log", follow_module.growing, threading.Event()

    def growing(*given):
        for found in real(*given):
            yield found
            if not found[0]:
                read.set()

    monkeypatch.setattr(follow_module, "growing", growing)
    path.write_bytes(content(head(), shape(8), shape(16, end=False)))
    thread = threading.Thread(target=follow_module.follow, args=(str(path), print, 0.01), daemon=True)
    thread.start()
    assert read.wait(300)
    path.write_bytes(content(head("4"), shape(4), [END]))
    thread.join(timeout=300)
    assert not thread.is_alive()
    assert [line.split()[:4] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["1", "of", "2", "8"],
        ["1", "of", "1", "4"],
    ]


def test_standard_input_is_followed_to_its_end():
    done = subprocess.run([*COMMAND, "--follow", "-"], input=content(head(), shape(8)), capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 2


def test_ctrl_c_ends_it(tmp_path):
    (tmp_path / "x.log").write_bytes(content(head(), shape(8)))
    program = subprocess.Popen(
        [*COMMAND, "--follow", tmp_path / "x.log"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert program.stdout.readline().split()[0] == b"shape"
        assert program.stdout.readline().split()[0] == b"1"
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=120)
    finally:
        program.kill()
    assert program.returncode == 130
    assert said.decode() == "process: interrupted; what was printed so far is whole\n"


@pytest.mark.parametrize("name", ["no.log", "."])
def test_what_cannot_be_followed(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--follow", name]) == 2
    assert capsys.readouterr().err.startswith(f"process: error: --follow {name}: no such file")


def test_a_packed_log_is_not_followed(tmp_path, capsys):
    (tmp_path / "x.log.gz").write_bytes(gzip.compress(content(head())))
    assert main(["--follow", str(tmp_path / "x.log.gz")]) == 2
    printed = capsys.readouterr()
    assert "is packed, so its run has ended" in printed.err and printed.out == ""


def test_a_newer_format_is_refused(tmp_path, capsys):
    (tmp_path / "x.log").write_text('FMWORK LOG {"format": 99}\n')
    assert main(["--follow", str(tmp_path / "x.log")]) == 2
    assert "upgrade" in capsys.readouterr().err
