"""`fmbench fidelity ladder` on a tiny model, in this process."""

import importlib.util
import json

import pytest

from fmbench import cli, lines
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


def test_each_variant_stands_against_fp32(ladder, tmp_path):
    variants = ("--variants", "bf16", "--vs", "--model:dtype@ torch.float32", "--vs", "--platform hpu")
    code, out, err = ladder(*variants, "--format", "json", "--log", tmp_path / "log")
    assert code == 1, err  # hpu
    reference, bf16, same, hpu = json.loads(out)
    assert [row["name"] for row in (reference, bf16)] == ["fp32", "bf16"]
    assert reference["verdict"] == same["verdict"] == "equal"
    assert (same["min_cosine"], same["overlap"], same["ndcg_change"]) == (1, 1, 0)
    assert bf16["verdict"] == "different" and 0.9 < bf16["min_cosine"] < bf16["mean_cosine"] < 1
    assert bf16["ndcg_change"] == pytest.approx(bf16["ndcg"] - reference["ndcg"])
    assert bf16["ndcg_interval"][0] <= bf16["ndcg_change"] <= bf16["ndcg_interval"][1]
    assert bf16["speed"] > 0 and bf16["speed_interval"][0] <= bf16["speed_interval"][1]
    assert hpu["verdict"] == "unsupported" and "--platform hpu is not usable here" in hpu["failure"]
    written = [lines.parse_line(text) for text in (tmp_path / "log").read_text().splitlines()]
    env = {name: value for line in written if isinstance(line, lines.Env) for name, value in line.data.items()}
    assert (env["task"], env["platform"], env["queries"]) == ("ladder", "cpu", 6) and env["packages"]["torch"]
    fids = [line.data for line in written if isinstance(line, lines.Fid)]
    assert [fid["artifact"] for fid in fids][:2] == ["ladder/fp32", "ladder/bf16"]
    assert [fid["verdict"] for fid in fids] == ["equal", "different", "equal", "unsupported"]


def test_the_table_says_why_a_variant_is_not_there(ladder):
    code, out, err = ladder("--variants", "fp32", "--vs", "--model:attn_implementation nonsense")
    assert code == 1, err
    assert "unsupported" in out and "- --model:attn\\_implementation nonsense" in out.replace("attn_", "attn\\_")
    assert "passages, 6 queries" in out


def test_int8_is_computed_or_says_what_to_install(ladder):
    code, out, err = ladder("--variants", "int8", "--format", "json")
    int8 = json.loads(out)[1]
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
