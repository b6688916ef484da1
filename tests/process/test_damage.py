"""What happens to lines that are not what they should be, and to other programs' output between them."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmbench import lines
from fmbench.process.cli import main
from fmbench.process.reading.log_reader import read_runs
from fmbench.process.reading.sources import Complaints
from fmbench.process.workloads.speed import Speed

from .conftest import validator
from .log_lines import GOLDEN, KINDS, LOG, RES, STAT, case, rep

KEYS = {key for section in Speed.sections.values() for key in section.fields}


BROKEN = [
    "FMWORK REP 1 9 1.000000000 2.000000000",
    "FMWORK REP one 9 1.000000000 2.000000000 1.000000000",
    "FMWORK REP 1 9 1.000000000 2.000000000 9999999999999999999999.000000000",
    "FMWORK RES 1.0 2.0 m C 8 4 fast 2000.0",
    "FMWORK RES 1.0 2.0 my model C 8 4 2.0 2000.0",
    "FMWORK SETUP soon",
    "FMWORK SETUP nan",
    "FMWORK SETUP -1",
    "FMWORK ARG platform",
    "FMWORK LOG {}",
    "FMWORK ENV [1]",
    'FMWORK ENV {"a": NaN}',
    'FMWORK ENV {"a": 1e999}',
    "FMWORK ENV " + "[" * 100_000,
    'FMWORK CASE {"input_size": "8", "batch_size": 4}',
    'FMWORK CASE {"input_size": 8}',
    'FMWORK CASE {"input_size": 8, "batch_size": 1' + "0" * 400 + "}",
    'FMWORK PHASE {"name": "load", "seconds": null}',
    'FMWORK PHASE {"seconds": 1}',
    'FMWORK ERR {"input_size": 1.5}',
    'FMWORK STAT {"p50": "x"}',
    'FMWORK MEM {"device_peak_bytes": "all"}',
    'FMWORK MEM {"reason": 5}',
    'FMWORK ENERGY {"joules": 1' + "0" * 400 + "}",
    'FMWORK ENERGY {"joules": "3"}',
    'FMWORK ENERGY {"joules": true}',
    'FMWORK CEIL {"flops_per_second": []}',
    'FMWORK CEIL {"input_size": 8, "batch_size": 4, "flops": 1.5}',
    'FMWORK CEIL {"input_size": 8, "batch_size": 4, "bound": 1}',
    'FMWORK PAIR {"input_size": 8, "batch_size": 4}',
    'FMWORK PAIR {"b": "B", "interval": [1]}',
    'FMWORK PAIR {"b": "B", "interval": [1, "2"]}',
    'FMWORK ENV {"variant": 1}',
    'FMWORK CASE {"input_size": 8, "batch_size": 4, "variant": 2}',
    STAT.replace(": 0", ": null", 1),
    STAT.replace("}", ', "recompiled_at": [-1]}'),
    STAT.replace("}", ', "recompiled_at": 1}'),
    STAT.replace("}", ', "stable": 1}'),
    STAT.replace("}", ', "ended": 1}'),
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_line_that_does_not_parse_is_named_and_skipped(read, line):
    whole = read(LOG, case(), rep(1, 3), RES)
    printed = read(LOG, line, case(), rep(1, 3), RES)
    assert printed.rows == whole.rows
    assert len(printed.warnings) == 1
    assert "run.log:2: " + " ".join(line.split()[:2]) in printed.warnings[0]


@pytest.mark.parametrize("value", ["16", '["a"]', "{}", "true"])
@pytest.mark.parametrize("name", ["precision", "device", "platform", "weights"])
def test_a_fact_that_is_no_text_leaves_open_what_was_measured(read, name, value):
    facts = f'FMWORK ENV {{"platform": "p", "model": "m", "dtype": "float32", "{name}": {value}}}'
    (row,) = read(LOG, facts, case(), rep(1, 3), RES).rows
    assert row["doubt"] == f"damaged: ENV: {name} is no text" == row["statistics"]["reason"]
    assert (row["precision"], row["configuration"], row["statistics"]["stable"]) == (None, None, False)


def test_a_fact_of_one_variant_that_is_no_text_leaves_the_others_alone(read):
    env = 'FMWORK ENV {"variant": "%s", "platform": "p", "dtype": "float32", "precision": %s}'
    lines = [env % ("A", '"int8"'), env % ("B", 8), *(line for one in "AB" for line in (case(variant=one), rep(1, 3)))]
    first, second = read(LOG, *lines).rows
    assert (first["precision"], first["doubt"]) == ("int8", None) and first["configuration"]
    assert (second["precision"], second["doubt"]) == (None, "damaged: ENV: precision is no text")


def test_a_fact_that_is_no_text_in_the_log_of_another_driver(process, golden_retrieval, tmp_path):
    log = tmp_path / "run.log"
    text = golden_retrieval.read_text()
    assert '"dtype": "float32"' in text
    log.write_text(text.replace('"dtype": "float32"', '"dtype": "float32", "precision": 16'))
    rows = process("--path", log, "--format", "json").rows
    assert {(row["doubt"], row["precision"], row["configuration"]) for row in rows} == {
        ("damaged: ENV: precision is no text", None, None)
    }


def test_warnings_are_counted_after_the_first_twenty(read):
    printed = read(*["FMWORK SETUP soon"] * 25, RES)
    assert len(printed.warnings) == 21
    assert printed.warnings[-1].endswith("run.log: 5 more lines that do not parse were skipped")


def test_lines_of_unknown_kinds_are_skipped_silently(read):
    printed = read(LOG, "FMWORK QUALITY {}", "FMWORK NEW 1 2", "FMWORK", case(), RES)
    assert (printed.statuses, printed.warnings) == (["OK"], [])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda line: b"progress 10%" + line, id="glued"),
        pytest.param(lambda line: b"progress 10%\r" + line, id="progress bar"),
        pytest.param(lambda line: line + b"\r", id="CRLF"),
        pytest.param(lambda line: b"\xff\xfe\x80" + line, id="no UTF-8"),
        pytest.param(lambda line: b"other program\n\n\xc3(" + b"\n" + line, id="between"),
    ],
)
def test_other_programs_output_changes_nothing(read, spoil):
    clean = GOLDEN.read_bytes().splitlines()
    spoiled = [spoil(line) if line.startswith(b"FMWORK") else line for line in clean]
    printed = read(*spoiled)
    assert printed.rows == read(*clean).rows
    assert printed.warnings == []


@pytest.mark.parametrize(
    ("line", "cut", "rows_left"),
    [(rep(2, 3), 3, 1), (rep(2, 3), 12, 1), (RES, 1, 1), (RES, 3, 1), (RES, 10, 1)],
)
def test_a_last_line_that_is_cut_off_is_not_believed(read, line, cut, rows_left):
    """`270.9` cut to `27` would still be a number."""
    printed = read(LOG, case(), rep(1, 3), line[:-cut], end="")
    assert printed.statuses == ["PARTIAL"] * rows_left
    assert printed.rows[0]["statistics"]["repetitions"] == 1
    assert "run.log:4: " in printed.warnings[0]


@pytest.mark.parametrize("line", [RES, rep(2, 3) + "\n" + RES])
def test_a_whole_last_line_without_a_line_end_counts(read, line):
    printed = read(LOG, case(), rep(1, 3), line, end="")
    assert (printed.statuses, printed.warnings) == (["OK"], [])


JUNK = st.text(st.characters(exclude_characters="\n"), max_size=40).filter(
    lambda text: "FMWORK" not in text and lines.parse_banner(text) is None
)


def parsed(raw_lines):
    complaints = []
    found = [
        row
        for run in read_runs(raw_lines, Complaints("log", complaints.append))
        for row in (result.row for result in Speed().rows(run, "log", None))
    ]
    return json.dumps(found), complaints


@pytest.mark.slow
@settings(max_examples=60)
@given(st.data())
def test_any_junk_between_and_before_lines_changes_nothing(data):
    clean = GOLDEN.read_bytes().splitlines(keepends=True)
    mixed = []
    for line in clean:
        mixed.extend(text.encode("utf-8", "surrogatepass") + b"\n" for text in data.draw(st.lists(JUNK, max_size=2)))
        glue = data.draw(JUNK).encode("utf-8", "surrogatepass") if line.startswith(b"FMWORK") else b""
        mixed.append(glue + line)
    assert parsed(mixed) == parsed(clean) == (parsed(clean)[0], [])


@settings(max_examples=200)
@given(st.lists(st.sampled_from([LOG, case(), case(16), rep(1, 3), rep(2, 5), RES, *BROKEN[:12], *BROKEN[14:],
                                 "RUN 128 / 1", "FMWORK ARG --platform a", 'FMWORK ERR {"type": "E"}',
                                 'FMWORK PHASE {"name": "load", "seconds": 1}', 'FMWORK ENV {"simulated": true}',
                                 case(variant="A"), case(variant="B"), STAT, 'FMWORK MEM {"variant": "A"}',
                                 'FMWORK CEIL {"input_size": 8}', 'FMWORK PAIR {"b": "B"}',
                                 'FMWORK ENV {"variant": "B", "dtype": "x"}']), max_size=12),
       st.integers(0, 80))  # fmt: skip
def test_no_order_of_lines_and_no_cut_is_a_crash_or_loses_a_result(content, cut):
    raw = "\n".join(content).encode()
    kept = raw[: len(raw) - cut] if cut else raw + b"\n"
    text, _ = parsed(kept.splitlines(keepends=True))
    validator().validate(json.loads(text))
    whole_results = [line for line in kept.decode().split("\n")[:-1] if line == RES]
    assert sum(row["itl"] == 2.0 for row in json.loads(text)) >= len(whole_results)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-1, 9), st.floats(-1, 9), st.sampled_from(["", "A", "B"]),
                   st.lists(st.integers(0, 9), max_size=2), st.just({}), st.just(10**30))  # fmt: skip
DATA = st.dictionaries(st.sampled_from(sorted({*KEYS, "variant", "a", "b", "name", "seconds", "reps"})), VALUES)
LINES = st.builds(
    lambda kind, data, placed: lines.JsonLine(kind, {**data, **({"input_size": 8, "batch_size": 4} if placed else {})}),
    st.sampled_from([kind for kind in KINDS if kind not in (*lines.POSITIONAL, "LOG")]),
    DATA,
    st.booleans(),
)


@settings(max_examples=300)
@given(st.lists(LINES, min_size=1, max_size=6))
def test_whatever_lines_say_what_is_printed_fits_the_schema(said):
    around = [LOG, case(variant="B"), rep(1, 3), RES, STAT]
    content = [*around[:3], *(line.format() for line in said[:2]), *around[3:], *(line.format() for line in said)]
    text, _ = parsed([(line + "\n").encode() for line in content])
    validator().validate(json.loads(text))
    assert [row["itl"] for row in json.loads(text)].count(2.0) == 1


@pytest.mark.parametrize("size", [10, 300])
def test_a_packed_log_that_is_cut_off_in_its_first_block_is_a_warning(tmp_path, capsys, size):
    packed = gzip.compress(GOLDEN.read_bytes())
    (tmp_path / "cut.log.gz").write_bytes(packed[:size])
    assert main(["--path", str(tmp_path)]) == 0
    assert "the gzip file is cut off" in capsys.readouterr().err
