"""Who races: what a checkpoint's own type changes, and the former name of the command."""

import itertools
import shutil

import pytest

from fmbench.backend import Candidate
from fmbench.backends import cpu
from fmbench.backends.accelerator import NamedBackend
from fmbench.command_line import CommandLine
from fmbench.drivers.choose import candidates
from fmbench.drivers.choose import choose as program
from fmbench.drivers.choose.arguments import parse, the_parser
from fmbench.drivers.choose.entrant import Entrant
from fmbench.drivers.choose.race import LEAST, Race, Turn
from fmbench.drivers.choose.turns import Turns
from fmbench.errors import UsageError


@pytest.fixture
def bfloat16(wings, tmp_path):
    """The tiny model, saved in bfloat16."""
    import torch
    import transformers

    folder = shutil.copytree(wings / "tiny", tmp_path / "bfloat16")
    transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("fast", [None, "bfloat16 in AVX-512"])
def test_of_a_checkpoint_in_bfloat16_that_is_its_own_type_and_the_reference_is_widened(
    fast, bfloat16, wings, restore_torch, monkeypatch
):
    monkeypatch.setattr(cpu, "fast", lambda _: fast)
    words = ["--dataset", str(wings / "wings"), "--platforms", "cpu", "--model_name"]
    found, _ = candidates.plan(parse([*words, str(bfloat16)]), None)
    assert [one.name for one in found[:2]] == ["cpu float32", "cpu bfloat16"]
    assert found[1].reason == "the checkpoint's own type, which the reference is widened from"
    assert len({one.name for one in found}) == len(found)
    types = []
    for one in map(Entrant, found[:2]):
        one.set_up({"online": ["wing flow"]})
        types.append(one.facts["dtype"])
    assert types == ["float32", "bfloat16"]
    found, _ = candidates.plan(parse([*words, str(wings / "tiny")]), None)
    assert all("own type" not in one.reason for one in found)


def test_a_device_that_an_option_must_name_races_only_where_its_platform_is_named(wings, monkeypatch):
    """torch.accelerator has a device wherever CUDA has one."""
    monkeypatch.setattr(NamedBackend, "choices", classmethod(lambda cls: ["cuda"]))
    words = ["--dataset", str(wings / "wings"), "--model_name", str(wings / "tiny")]
    found, absent = candidates.plan(parse(words), None)
    assert "accelerator" not in {*absent, *(one.name.split()[0] for one in found)}
    with pytest.raises(UsageError, match="device_type: say which; torch has cuda"):
        candidates.plan(parse([*words, "--platforms", "accelerator"]), None)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("online", ["ort 1", "ort 2", "bf16", "eager"]), ("bulk", ["ort 1", "ort 2"])],
)  # fmt: skip
def test_on_each_platform_fewer_threads_are_tried_for_single_queries_and_in_bulk_for_the_fastest(
    profile, expected, wings, restore_torch
):
    pytest.importorskip("onnxruntime")
    base = candidates.base_of(CommandLine.parse(["--model_name", str(wings / "tiny")], the_parser().flags), "cpu")
    made = {
        "cpu float32": "", "ort 1": "--platform onnxruntime",
        "ort 2": "--platform onnxruntime --model:attn_implementation eager",
        "ort 3": "--platform onnxruntime --model:attn_implementation sdpa", "bf16": "--model:dtype@ torch.bfloat16",
        "eager": "--model:attn_implementation eager", "told": "--threads 1",
    }  # fmt: skip
    planned = [candidates.planned(base, "", Candidate(name, words, "r")) for name, words in made.items()]
    race, entrants = Race(profile, "cpu float32"), {one.name: Entrant(one) for one in planned}
    for number, (place, name) in itertools.product(range(LEAST), enumerate(entrants)):
        race.take(Turn(profile, 0, number, name, 1, 10, 100 + place, 1.0, 1.0))
    assert [one.name for one in Turns(entrants, {profile: race}, None, None)._fastest(race, 0)] == expected


def test_the_former_name_says_so_and_asks_the_same(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(program, "run", lambda words: seen.append(words) or 0)
    assert program.ladder(["--platform", "cpu", "--model_name", "m", "--texts", "t"]) == 0
    assert seen == [["--platforms", "cpu", "--model_name", "m", "--texts", "t"]]
    assert "`fmbench fidelity ladder` is `fmbench choose` now" in capsys.readouterr().err
