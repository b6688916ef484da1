"""`fmbench show`: a row a shape, or a row a group; from logs and from results in JSON alike."""

import json
import subprocess
import sys

import pytest

from fmbench.process.cli import main as process_main
from fmbench.process.writing.show import main, without_common

RES = "FMWORK RES 1.000000000 2.000000000 {model} C {size} {batch} {latency:.3f} {rate:.1f}\n"


def res(latency, model="m", size=8, batch=4):
    return RES.format(model=model, size=size, batch=batch, latency=latency, rate=batch * 1e3 / latency)


@pytest.fixture
def show(capsys):
    """The lines that `fmbench show` prints."""

    def run(*words, code=0):
        assert main([str(word) for word in words]) == code
        printed = capsys.readouterr()
        return (printed.err if code else printed.out).splitlines()

    return run


@pytest.fixture
def log(tmp_path):
    def write(*parts, name="x.log"):
        (tmp_path / name).write_text("".join(parts), encoding="utf-8")
        return tmp_path / name

    return write


def row(lines, *words):
    (found,) = [line for line in lines if all(word in line for word in words)]
    return found


def test_a_row_a_shape(show, golden):
    header, *lines = show(golden / "format-1.log")
    assert header.split("  ")[0] == "model"
    assert "latency ms" in header and "sequences/s" in header
    assert lines.index("") == 7  # the sentence on the fastest follows
    assert "8.204 ± 0.012" in row(lines, "float32", "  A  ")
    assert row(lines, "  A  ").endswith("stable")


def test_doubt_is_marked_with_its_reason(show, golden):
    lines = show(golden / "format-1.log")
    assert row(lines, "recompiled").endswith(
        "unstable: recompiled: the compiler ran in 1 of the repetitions that count"
    )
    assert "partial: 3 of 5 repetitions; unstable: few" in row(lines, "partial")


def test_a_failure_is_a_row(show, golden):
    line = row(show(golden / "format-1.log"), "2.00 GiB")
    assert line.split()[-8:] == ["1", "failed:", "OutOfMemoryError:", "tried", "to", "allocate", "2.00", "GiB"]


def test_a_simulated_figure_is_marked(show, log):
    facts = 'FMWORK LOG {"format": 1}\nFMWORK ENV {"simulated": true}\n'
    assert "simulated: no hardware computed it" in show(log(facts, res(2.0)))[1]


def test_the_log_is_named_where_there_are_several(show, golden):
    header, *lines = show(golden)
    assert header.split()[0] == "log"
    assert {line.split()[0] for line in lines[: lines.index("")]} == {"format-1.log", "seed-example.log"}
    assert show(golden / "format-1.log")[0].split()[0] == "model"


def test_variants_have_names_and_stand_in_the_order_of_their_speed(show, golden):
    lines = show(golden / "format-1.log")
    of_variants = [line for line in lines if " 64 " in line]
    assert [name in line for name, line in zip(
        ("B (bfloat16)", " A ", "C (--model_name org/huge)"), of_variants, strict=True
    )] == [True] * 3  # fmt: skip
    assert "1.3434 times A (1.3425 to 1.3448)" in of_variants[0]
    assert lines[-2:] == [
        "fastest: B (bfloat16), 1.3434 times A (1.3425 to 1.3448)", "2 results failed, in 1 log (2 OutOfMemoryError)",
    ]  # fmt: skip


def run(facts, latency=2.0, **sizes):
    return f'FMWORK LOG {{"format": 1}}\nFMWORK ENV {json.dumps({"platform": "cpu", **facts})}\n{res(latency, **sizes)}'


def test_what_tells_rows_apart_is_a_column_and_nothing_else_is(show, log):
    same = {"threads": 2, "attention": "sdpa", "dtype": "float32"}
    path = log(
        run({**same, "compile": False}),
        run({**same, "compile": True, "options": ["--compile:backend inductor"]}),
    )
    header, *lines = show(path)
    assert header.split()[:5] == ["model", "platform", "precision", "compile", "input"]
    assert [line.split()[3] for line in lines] == ["eager", "inductor"]


def test_machines_are_told_apart_and_named_as_in_a_store(show, log):
    facts = {"cpus": 4, "machine": "x86_64", "dtype": "float32"}
    path = log(run({**facts, "cpu": "X 9"}), run({**facts, "cpu": "Y 7"}))
    header, *lines = show(path)
    assert header.split()[3] == "machine" and [line.split()[3][:11] for line in lines] == ["x-9-4-cores", "y-7-4-cores"]


@pytest.mark.parametrize(
    ("paths", "short"),
    [
        (["r/m/one/driver.log.gz", "r/m/two/driver.log.gz"], ["one", "two"]),
        (["/a/b.log", "/a/c.log"], ["b.log", "c.log"]),
        (["a/b/x.log", "b/x.log"], ["a/b", "b"]),
        (["-", "x/-"], ["-", "x/-"]),
    ],
)
def test_paths_are_said_without_what_they_share(paths, short):
    assert list(without_common(paths).values()) == short
    long = without_common([f"{'d' * 90}/{number}" for number in range(2)] + [f"{'e' * 90}/2"])
    assert max(map(len, long.values())) <= 64


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_is_shown_as_its_log_is(form, show, golden, tmp_path):
    saved = tmp_path / "saved"
    assert process_main(["--path", str(golden / "format-1.log"), "--format", form, "--out", str(saved)]) == 0
    assert show(saved) == show(golden / "format-1.log")
    saved.write_text(json.dumps(json.loads(saved.read_text()), indent=2) if form == "json" else saved.read_text())
    assert show(saved) == show(golden / "format-1.log")


def test_process_reads_json_too(golden, tmp_path, capsys):
    words = ["--path", str(golden / "format-1.log")]
    process_main([*words, "--out", str(tmp_path / "a.json")])
    process_main(words)
    printed = capsys.readouterr().out
    assert process_main(["--path", str(tmp_path)]) == 0
    assert capsys.readouterr().out == printed
    process_main(["--path", str(tmp_path), "--metadata_id", "x"])
    assert {item["metadata_id"] for item in json.loads(capsys.readouterr().out)} == {"x"}


def test_a_folder_of_logs_and_json_is_its_logs(show, log, tmp_path):
    path = log(res(2.0))
    process_main(["--path", str(path), "--out", str(tmp_path / "x.json")])
    assert len(show(tmp_path)) == 2
    path.unlink()
    assert len(show(tmp_path)) == 2


BAD = {
    "[]x": "no JSON",
    "[ {}, 1]": "result 1: no result of fmbench",
    '[{"status": "FINE"}]': "result 1: no result of fmbench",
    '[{"status": "OK", "schema": 2}]': "has schema 2",
    '[{"status": "OK", "itl": "3"}]': "itl is no number",
    '[{"status": "OK", "itl": true}]': "itl is no number",
    '[{"status": "OK", "itl": NaN}]': "no JSON",
    '[{"status": "OK", "itl": 1e999}]': "no JSON",
    '[{"status": "OK", "itl": 1' + "0" * 400 + "}]": "itl is no number",
    '[{"status": "OK", "input": 1' + "0" * 30 + "}]": "input is no whole number",
    '[{"status": "OK", "statistics": 3}]': "statistics is no object",
    '[{"status": "OK", "statistics": {"p50": "x"}}]': "statistics: n is missing",
    '[{"status": "OK", "energy": {"joules": "x"}}]': "energy: joules is no number",
    '[{"status": "OK", "pair": {"b": "B", "interval": [1]}}]': "pair: interval is no pair of numbers",
    '[{"status": "OK", "workload": 3}]': "workload is no text",
    '[{"status": "OK", "environment": []}]': "environment is no object",
    '[{"status": "OK", "phases": {}}]': "phases is no list",
    "[" * 100_000: "no JSON",
}


@pytest.mark.parametrize("content", BAD, ids=lambda text: text[:40])
def test_json_that_is_none_of_ours(content, show, log):
    path = log(content, name="x.json")
    (line,) = show(path, code=2)
    assert line.startswith(f"fmbench show: error: {path}: ") and BAD[content] in line


def test_a_row_that_lacks_keys_is_shown(show, log):
    assert "5.00" in show(log('[{"status": "OK", "itl": 5.0, "input": 8, "batch": 1}]', name="x.json"))[1]


def test_a_terminal_is_not_obeyed(show, log):
    assert "\x1b" not in "".join(show(log(res(2.0, model="a%1B[31mb"))))


def test_an_empty_log_says_so(show, log, capsys):
    path = log("")
    assert main([str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"warning: {path}: no results")
    assert len(printed.out.splitlines()) == 1


# -- groups


def test_medians_a_group(show, log):
    path = log(res(2.0), res(4.0, size=16), res(9.0, size=32), res(5.0, batch=8), res(3.0, model="other"))
    header, *lines = show(path, "--by", "model,batch")
    assert header.split() == ["model", "batch", "latency", "ms", "sequences/s", "shapes", "in", "doubt", "failed"]
    found = [line.split() for line in lines]
    assert found == [
        ["m", "4", "4.00", "1000", "3", "3", "0"],
        ["m", "8", "5.00", "1600", "1", "1", "0"],
        ["other", "4", "3.00", "1330", "1", "1", "0"],
    ]


def test_groups_by_a_fact_and_with_failures(show, golden):
    _, *lines = show(golden, "--by", "platform,status")
    counts = {tuple(line.split()[:2]): line.split()[-3:] for line in lines}
    assert counts["cpu", "ERR"] == ["0", "0", "2"]
    assert counts["cpu", "OK"] == ["4", "2", "0"]
    assert counts["cpu", "PARTIAL"] == ["1", "1", "0"]


def test_variants_are_grouped_by_what_they_override(show, log):
    def compared(letter, overrides, latency):
        place = f'"input_size": 8, "batch_size": 4, "variant": "{letter}", "overrides": {json.dumps(overrides)}'
        return f"FMWORK CASE {{{place}}}\n{res(latency)}"

    head = 'FMWORK LOG {"format": 1}\n'
    bf16, eager = "--model:dtype@ torch.bfloat16", "--model:attn_implementation eager"
    one = log(head, compared("A", None, 9.0), compared("B", bf16, 2.0), compared("C", eager, 7.0))
    other = log(head, compared("A", None, 9.0), compared("B", eager, 5.0), compared("C", bf16, 4.0), name="y.log")
    other.write_text(other.read_text().replace("RES 1.0", "RES 1.5"))
    _, *lines = show(one, other, "--by", "variant")
    assert [line.split()[-5:-2] for line in lines] == [
        ["6.00", "686", "2"], ["9.00", "444", "2"], ["3.00", "1500", "2"],
    ]  # fmt: skip
    assert [line.split("  ")[0] for line in lines] == ["--model:attn_implementation eager", "A", "bfloat16"]


@pytest.mark.parametrize("key", ["threads", "environment.threads", "torch", "opts", "schema", "statistics.stable"])
def test_any_column_is_a_key(key, show, golden):
    header, *lines = show(golden, "--by", key)
    assert header.startswith(key) and lines


@pytest.mark.parametrize(
    ("key", "words"),
    [("platfrom", "did you mean platform"), ("reason", "which one: energy.reason, memory.reason"), (",", "is named")],
)
def test_a_key_that_is_none(key, words, show, golden):
    (line,) = show(golden, "--by", key, code=2)
    assert words in line


def test_groups_of_nothing(show, log):
    assert len(show(log("x\n"), "--by", "model")) == 1


@pytest.mark.slow
def test_pandas_is_imported_for_groups_only(golden):
    code = (
        "import sys; from fmbench.process.writing.show import main; main(sys.argv[1:]);"
        "print(sorted({'torch', 'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules)), file=sys.stderr)"
    )
    for words, imported in ([], "[]"), (["--by", "model"], "'pandas'"):
        done = subprocess.run([sys.executable, "-c", code, golden, *words], capture_output=True, text=True, check=True)
        assert imported in done.stderr and "torch" not in done.stderr
