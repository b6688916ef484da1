import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench import lines
from fmbench.lines import Arg, Exp, JsonLine, LineError, Rep, Res, Setup, parse_banner, parse_line, parse_rep

EXAMPLES = {
    "FMWORK ARG --input_sizes 128,512": Arg("input_sizes", "128,512"),
    "FMWORK ARG --model:dtype@ torch.bfloat16": Arg("model:dtype@", "torch.bfloat16"),
    "FMWORK ARG --compile:x@ max(args.input_sizes) + 1": Arg("compile:x@", "max(args.input_sizes) + 1"),
    "FMWORK ARG --precision 1%": Arg("precision", "1%"),
    "FMWORK SETUP 4.657035": Setup(4.657035),
    "FMWORK REP 2 100 1108911.845509595 1108911.849978236 0.004468641": Rep(
        2, 100, 1108911845509595, 1108911849978236, 4468641
    ),
    "FMWORK RES 1108911.088153850 1108912.235531503 org/name RobertaModel 128 1 3.691 270.9": Res(
        1108911088153850, 1108912235531503, "org/name", "RobertaModel", 128, 1, 3.691, 270.9
    ),
    "FMWORK RES 1.000000000 2.000000000 my%20model%25 M 1 1 0.001 1.0": Res(
        10**9, 2 * 10**9, "my model%", "M", 1, 1, 0.001, 1.0
    ),
    "FMWORK EXP DTLOG_LEVEL=error": Exp("DTLOG_LEVEL", "error"),
    'FMWORK LOG {"format": 1, "program": "fmbench 0.1.0"}': JsonLine("LOG", {"format": 1, "program": "fmbench 0.1.0"}),
    'FMWORK ENV {"python": "3.11.7"}': JsonLine("ENV", {"python": "3.11.7"}),
    'FMWORK ERR {"input_size": 8}': JsonLine("ERR", {"input_size": 8}),
}


@pytest.mark.parametrize(("text", "line"), EXAMPLES.items())
def test_examples_parse(text: str, line: lines.Line) -> None:
    assert parse_line(text) == line
    assert parse_line(text + "\r\n") == line
    assert parse_line("12%|###   |" + text) == line


@pytest.mark.parametrize(("text", "line"), [pair for pair in EXAMPLES.items() if "%25" not in pair[0]])
def test_examples_format(text: str, line: lines.Line) -> None:
    assert line.format() == text


def test_times_are_exact_to_the_nanosecond() -> None:
    assert Rep(1, 1, 1795215551818851047, 1795215551942940741, 124089694).format() == (
        "FMWORK REP 1 1 1795215551.818851047 1795215551.942940741 0.124089694"
    )


words = st.text(max_size=20)
times = st.integers(0, 2**63)
counts = st.integers(1, 10**9)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3),
    max_leaves=8,
)
positional = st.one_of(
    st.builds(Arg, st.text(min_size=1, max_size=10), words),
    st.builds(Setup, st.integers(0, 10**12).map(lambda micro: float(f"{micro / 1e6:.6f}"))),
    st.builds(Rep, counts, counts, times, times, times),
    st.builds(
        Res, times, times, st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=10), counts, counts,
        st.integers(0, 10**9).map(lambda n: float(f"{n / 1e3:.3f}")),
        st.integers(0, 10**9).map(lambda n: float(f"{n / 10:.1f}")),
    ),
    st.builds(Exp, st.text(st.characters(exclude_characters="="), min_size=1, max_size=10), words),
)  # fmt: skip
kinds = st.sampled_from(["ENV", "PHASE", "ERR", "STAT", "ENC", "X_2"])
objects = st.dictionaries(words, values, max_size=4)
json_lines = st.one_of(
    st.builds(JsonLine, kinds, objects),
    st.builds(lambda data: JsonLine("LOG", {**data, "format": 1}), objects),
)


@given(positional | json_lines)
def test_any_line_round_trips_on_one_line(line: lines.Line) -> None:
    text = line.format()
    assert len(text.splitlines()) == 1
    text.encode()
    assert parse_line(text) == line


@given(st.builds(Rep, counts, counts, times, times, times))
def test_the_fast_path_reads_what_the_parser_reads(line: Rep) -> None:
    raw = line.format().encode()
    assert parse_rep(raw) == (line.index, line.count, line.start, line.end, line.duration)


@pytest.mark.parametrize(
    "raw",
    [
        b"FMWORK REP 1 2 0.000000001 0.000000002",
        b"xFMWORK REP 1 2 0.000000001 0.000000002 0.000000001",
        b"FMWORK REP a 2 0.000000001 0.000000002 0.000000001",
        b"FMWORK REP 1 2 0.1 0.2 0.1",
        b"FMWORK RES 1 2 0.000000001 0.000000002 0.000000001",
    ],
)
def test_the_fast_path_leaves_the_rest_to_the_parser(raw: bytes) -> None:
    assert parse_rep(raw) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FMWORK REP 1 2 0.1 0.2", "4 fields where 5 belong"),
        ("FMWORK REP 1 2 0.1 0.2 x", "FMWORK REP: a field is no number"),
        ("FMWORK SETUP", "0 fields where 1 belong"),
        ("FMWORK ENV nothing", "no JSON object"),
        ("FMWORK ENV [1]", "no JSON object"),
        ("FMWORK LOG {}", "no format version"),
        ("FMWORK ARG value", "begins with --"),
        ("FMWORK EXP KEY", "KEY=VALUE"),
        ("FMWORK RES 1.0 2.0 a b c 1 0.1 0.1", "a field is no number"),
    ],
)
def test_a_field_that_does_not_parse_says_so(text: str, said: str) -> None:
    with pytest.raises(LineError, match=said):
        parse_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "FMWORK",
        "FMWORK PAIRX 1",
        "FMWORK NEW 1",
        "FMWORK NEW {1}",
        "FMWORK new {}",
        "see the FMWORK lines",
        "fmwork REP 1",
    ],
)
def test_what_is_no_known_line_is_none(text: str) -> None:
    assert parse_line(text) is None


def test_banner() -> None:
    text = lines.banner("RUN", 128, "/", 1)
    assert text == f"\n{'-' * 80}\nRUN 128 / 1\n{'-' * 80}\n"
    assert parse_banner(text.splitlines()[2]) == (128, 1)
    assert parse_banner("RUN AWAY / 1") is None


def test_json_lines_are_plain_ascii() -> None:
    assert JsonLine("ENV", {"host": "kölner\u2028"}).format().isascii()
    assert json.loads(JsonLine("ENV", {"host": "kölner\u2028"}).format().removeprefix("FMWORK ENV ")) == {
        "host": "kölner\u2028"
    }


def test_a_kind_of_anybody_carries_one_json_object() -> None:
    assert parse_line('12%|FMWORK TOK {"a": [1]}') == JsonLine("TOK", {"a": [1]})
    assert parse_line('FMWORK TOK {"a": "FMWORK RES 1 2"}') == JsonLine("TOK", {"a": "FMWORK RES 1 2"})
    with pytest.raises(LineError, match="FMWORK TOK: no JSON object"):
        parse_line("FMWORK TOK 1", known=("TOK",))


@pytest.mark.parametrize(
    "torn", ["FMWORK STA", "FMWORK STAT", 'FMWORK STAT {"n": 1', "FMWORK NEW {", "FMWORK REP 1 2 0."]
)
@pytest.mark.parametrize("behind", ['FMWORK LOG {"format": 1}', 'FMWORK NEW {"a": 1}'])
def test_a_line_behind_a_torn_one_is_found(torn: str, behind: str) -> None:
    told: list[tuple[str, str]] = []
    found = lines.parse_whole(torn + behind, True, True, lambda *said: told.append(said), known=("STAT",))
    assert found is not None and found.format() == behind
    assert [kind for kind, _ in told] == [torn.split()[1]] * torn.startswith(("FMWORK STAT {", "FMWORK REP"))
