"""`fmbench fidelity ladder` on a tiny model, in this process."""

import importlib.util

import pytest

from fmbench import cli, lines, stats
from fmbench.drivers.fidelity.rungs import Rung
from fmbench.ending import Terminated
from tests.tiny_model import write_collection, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("ladder")
    write_model(root / "tiny")
    write_collection(root / "wings")
    return root


@pytest.fixture
def ladder(folder, capfd, restore_torch):
    def run(*words, platform="cpu", model="tiny"):
        model = [
            "--platform",
            platform,
            "--threads",
            "1",
            "--model_name",
            folder / model,
            "--dataset",
            folder / "wings",
        ]
        code = cli.main(["fidelity", "ladder", *map(str, [*model, *words])])
        done = capfd.readouterr()
        return code, done.out, done.err

    return run


def parsed(out):
    """The FMWORK lines of a log."""
    return [line for text in out.splitlines() if (line := lines.parse_line(text))]


def test_each_variant_stands_against_fp32(ladder):
    variants = ("--variants", "bf16", "--vs", "--model:dtype@ torch.float32", "--vs", "--platform hpu")
    code, out, err = ladder(*variants)
    assert code == 1, err  # hpu
    written = parsed(out)
    fids = last_of(written)
    reference, bf16 = fids["ladder/fp32"], fids["ladder/bf16"]
    same, hpu = fids["ladder/--model:dtype@ torch.float32"], fids["ladder/--platform hpu"]
    assert {(row["reference"], row["variant"]) for row in (reference, bf16)} == {("fp32", "fp32"), ("fp32", "bf16")}
    assert reference["verdict"] == same["verdict"] == "equal"
    assert (same["min_cosine"], same["overlap"], same["ndcg_change"]) == (1, 1, 0)
    assert bf16["verdict"] == "different" and 0.9 < bf16["min_cosine"] < bf16["mean_cosine"] < 1
    assert bf16["ndcg_change"] == pytest.approx(bf16["ndcg"] - reference["ndcg"])
    assert bf16["ndcg_interval"][0] <= bf16["ndcg_change"] <= bf16["ndcg_interval"][1]
    assert bf16["speed"] > 0 and bf16["speed_interval"][0] <= bf16["speed_interval"][1]
    assert hpu["verdict"] == "unsupported" and "--platform hpu is not usable here" in hpu["failure"]
    env = {name: value for line in written if lines.is_json(line, "ENV") for name, value in line.data.items()}
    assert (env["task"], env["platform"], env["queries"]) == ("ladder", "cpu", 6) and env["packages"]["torch"]
    fid, durations = fids["ladder/bf16"], stats.settled(fids["ladder/bf16"]["nanoseconds"])
    assert fid["passages"] == fid["of_passages"] == env["passages"] and float(fid["start"]) > 1e9
    assert fid["latency_ms"] == pytest.approx(stats.median(durations) / 1e6)
    assert fid["texts_per_second"] == pytest.approx(1000 * fid["batch"] / fid["latency_ms"])
    dtypes = {line.data["variant"]: line.data["dtype"] for line in written if is_of_variant(line)}
    assert (dtypes["fp32"], dtypes["bf16"]) == ("float32", "bfloat16")


def last_of(written):
    return {line.data["artifact"]: line.data for line in written if lines.is_json(line, "FID")}


def is_of_variant(line):
    return lines.is_json(line, "ENV") and "variant" in line.data


@pytest.fixture
def stop_at(monkeypatch):
    """stop_at(n, error) -> the n-th part that a variant encodes raises; returns what was encoded since, by role."""
    real = Rung.encode

    def install(number, error=KeyboardInterrupt):
        encoded = []

        def encode(rung, texts, role, clock):
            if len(encoded) == number:
                raise error
            encoded.append(role)
            real(rung, texts, role, clock)

        monkeypatch.setattr(Rung, "encode", encode)
        return encoded

    return install


@pytest.mark.parametrize(("error", "expected"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_what_is_stopped_says_how_variants_stand_and_goes_on(error, expected, ladder, stop_at, tmp_path):
    words = ("--variants", "bf16", "--out", tmp_path / "kept")
    stop_at(21, error)  # 6 turns of queries, 4 of passages, and one variant's part of the next
    code, out, err = ladder(*words)
    assert code == expected and "the same command goes on" in err
    bf16 = last_of(parsed(out))["ladder/bf16"]
    assert (
        "partial: 8 of 30 passages" in err
        and bf16["passages"] == 8
        and 0.9 < bf16["min_cosine"] < 1
        and bf16["ndcg"] is None
        and bf16["speed"] > 0
    )
    rest = stop_at(None)
    code, out, err = ladder(*words)
    assert (code, rest) == (0, ["passage"] * 22), err  # 11 turns of two
    whole = last_of(parsed(ladder(*words[:-2])[1]))
    faithful = ("passages", "min_cosine", "mean_cosine", "overlap", "ndcg_change", "ndcg_interval", "ndcg_p")
    for name, found in last_of(parsed(out)).items():
        assert [found[key] for key in faithful] == [whole[name][key] for key in faithful]


def test_a_log_says_how_variants_stand_before_the_end(ladder, stop_at):
    stop_at(19, RuntimeError("killed"))
    code, out, _ = ladder("--variants", "bf16")
    assert code == 1
    assert last_of(parsed(out))["ladder/bf16"]["passages"] == 4  # after 8 turns


def test_a_variant_has_the_facts_that_retrieve_prints_for_the_same_set_up(ladder, folder, capfd, tmp_path):
    """What decides a figure is said alike, so that both are of one configuration."""
    facts = {}
    for line in parsed(ladder("--variants", "bf16")[1]):
        if lines.is_json(line, "ENV") and line.data.get("variant") in (None, "bf16"):
            facts |= line.data
    model = ["--platform", "cpu", "--threads", "1", "--model_name", str(folder / "tiny")]
    words = ["--dataset", str(folder / "wings"), "--model:dtype@", "torch.bfloat16"]
    words += ["--encoding_cache_dir", str(tmp_path)]
    assert cli.main(["retrieve", "encode", *model, *words]) == 0
    theirs = {}
    for line in parsed(capfd.readouterr().out):
        theirs |= line.data if lines.is_json(line, "ENV") else {}
    own = ("task", "timed", "variant", "queries", "passages", "texts", "load_average", "steal_seconds", "cpu_mhz")
    differing = {key for key in facts.keys() & theirs.keys() if facts[key] != theirs[key]}
    assert {key for key in differing if not key.startswith(own)} == set()
    for key in (
        "platform",
        "device",
        "dtype",
        "model_digest",
        "threads",
        "attention",
        "compile",
        "packages",
        "options",
    ):
        assert facts[key] == theirs[key], key


def test_turns_of_another_run_are_refused(ladder, tmp_path):
    assert ladder("--variants", "fp32", "--out", tmp_path / "kept")[0] == 0
    turns = sorted((tmp_path / "kept").glob("*.npz"))
    for words, message in (
        (["--variants", "bf16"], "holds the variants fp32"),
        (["--variants", "fp32", "--passage_prompt", "passage: "], "made under another fingerprint"),
        (["--variants", "fp32", "--split", "gone"], "gone"),
    ):
        code, out, err = ladder(*words, "--out", tmp_path / "kept")
        assert (code, out) == (2, "") and message in err, err
    turns[-1].write_bytes(b"torn")
    code, _, err = ladder("--variants", "fp32", "--out", tmp_path / "kept")
    assert code == 1 and f"{turns[-1]}: is damaged" in err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    code, _, err = ladder("--variants", "fp32", "--out", tmp_path / "other")
    assert code == 2 and "holds something else than a ladder" in err


def test_the_table_says_why_a_variant_is_not_there(ladder):
    code, _, err = ladder("--variants", "fp32", "--vs", "--model:attn_implementation nonsense")
    assert code == 1, err
    (row,) = [line for line in err.splitlines() if "failed: unsupported" in line]
    assert "--model:attn_implementation nonsense" in row


def test_int8_is_computed_or_says_what_to_install(ladder):
    code, out, err = ladder("--variants", "int8")
    int8 = last_of(parsed(out))["ladder/int8"]
    assert code == (int8["verdict"] == "unsupported"), err
    if importlib.util.find_spec("torchao") is None:
        assert int8["verdict"] == "unsupported" and "pip install torchao" in int8["failure"]
    else:
        assert int8["verdict"] == "different" and 0.9 < int8["min_cosine"] < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variants", "fp23"], "--variants fp23: unknown (known: fp32, bf16"),
        (["--vs", "--documents 3"], "--documents holds for all variants"),
        (["--vs", "--model:dtype@ os.sys"], "os.sys"),
        (["--texts", "x"], "one of the two"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, ladder):
    code, _, err = ladder(*words)
    assert code == 2 and message in err


@pytest.mark.parametrize(
    ("changes", "words", "expected", "message"),
    [
        ({"platform": "hpu"}, [], 3, "error: --platform hpu is not usable here"),
        ({"platform": "cpo"}, [], 2, "error: --platform cpo: unknown"),
        ({"model": "gone"}, [], 2, "error: no model folder at"),
        ({}, ["--model:nonsense", "1"], 2, "nonsense"),
    ],
)
def test_a_reference_that_cannot_run_ends_with_its_own_error(changes, words, expected, message, ladder):
    code, out, err = ladder("--variants", "bf16", *words, **changes)
    assert (code, out) == (expected, "") and message in err
    assert "UsageError" not in err and "PlatformError" not in err and len(err.splitlines()) == 1


def test_every_variant_that_ran_is_a_0(ladder):
    assert ladder("--variants", "bf16")[0] == 0
