"""Who races: what a checkpoint's own type changes, and the former name of the command."""

import shutil

import pytest

from fmbench.backends import cpu
from fmbench.drivers.choose import candidates
from fmbench.drivers.choose import choose as program
from fmbench.drivers.choose.arguments import parse
from fmbench.drivers.choose.entrant import Entrant


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


def test_the_former_name_says_so_and_asks_the_same(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(program, "run", lambda words: seen.append(words) or 0)
    assert program.ladder(["--platform", "cpu", "--model_name", "m", "--texts", "t"]) == 0
    assert seen == [["--platforms", "cpu", "--model_name", "m", "--texts", "t"]]
    assert "`fmbench fidelity ladder` is `fmbench choose` now" in capsys.readouterr().err
