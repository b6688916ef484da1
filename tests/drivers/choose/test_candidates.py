"""Who races: what a checkpoint's own type changes, and the former name of the command."""

import itertools
import shutil
from types import SimpleNamespace

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
        one.set_up(["online"], lambda _: ["wing flow"])
        types.append(one.facts["dtype"])
    assert types == ["float32", "bfloat16"]
    found, _ = candidates.plan(parse([*words, str(wings / "tiny")]), None)
    assert all("own type" not in one.reason for one in found)


@pytest.mark.parametrize("fast", [["float32 (AVX-512)"], ["bfloat16 (AVX-512 BF16)"], []])
def test_a_checkpoints_own_type_comes_last_where_the_platform_is_slow_in_it(fast, bfloat16, wings, monkeypatch):
    """Float16 on a CPU takes the time of all others."""
    monkeypatch.setattr(cpu, "fast", lambda name: None)
    monkeypatch.setattr(cpu.CpuBackend, "computes_fast", classmethod(lambda cls: fast))
    words = ["--dataset", str(wings / "wings"), "--platforms", "cpu", "--model_name", str(bfloat16)]
    found, _ = candidates.plan(parse([*words, "--vs", "--threads 1"]), None)
    names = [one.name for one in found]
    assert names[0] == "cpu float32" and names.index("cpu bfloat16") == (
        1 if fast != ["float32 (AVX-512)"] else len(names) - 1
    )


def test_a_device_that_an_option_must_name_races_only_where_its_platform_is_named(wings, monkeypatch):
    """torch.accelerator has a device wherever CUDA has one."""
    monkeypatch.setattr(NamedBackend, "choices", classmethod(lambda cls: ["cuda"]))
    words = ["--dataset", str(wings / "wings"), "--model_name", str(wings / "tiny")]
    found, absent = candidates.plan(parse(words), None)
    assert "accelerator" not in {*absent, *(one.name.split()[0] for one in found)}
    with pytest.raises(UsageError, match="device_type: say which; torch has cuda"):
        candidates.plan(parse([*words, "--platforms", "accelerator"]), None)


def test_platforms_take_turns_after_what_the_user_asks_for(wings, monkeypatch):
    """A small budget then tries somebody of each; what is one candidate by two names races once, as it is proposed."""
    reference = "--model:dtype@ torch.float32"  # which a platform proposes too
    proposes = {"cpu": [reference, "--threads 1", "--threads 3", "--threads 4"], "null": ["--threads 2", "--threads 5"]}

    def proposed(base, name, cls, calibration):
        return [candidates.planned(base, "", Candidate(f"{name} {words}", words, "r")) for words in proposes[name]]

    monkeypatch.setattr(candidates, "proposed", proposed)
    monkeypatch.setattr(candidates, "platforms", lambda names: dict.fromkeys(proposes, cpu.CpuBackend))
    words = ["--dataset", str(wings / "wings"), "--model_name", str(wings / "tiny")]
    found, _ = candidates.plan(parse([*words, "--vs", "--threads 2", "--vs", "--threads 6"]), None)
    assert [one.name for one in found] == [
        "cpu float32", "--threads 6", "cpu --threads 1", "null --threads 2", "cpu --threads 3", "null --threads 5",
        "cpu --threads 4",
    ]  # fmt: skip


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
    assert [one.name for one in Turns(entrants, {profile: race}, None, None)._fastest(race, 0, LEAST)] == expected


class Members(dict):
    """Entrants by name, of which new ones are set up unless nothing more fits."""

    subject = None

    def __init__(self, members, room):
        super().__init__(members)
        self.costs, self.room, self.set_up = (
            dict.fromkeys(members, 1.0),
            room,
            lambda one: setattr(one, "encoder", "set up"),
        )

    def fits(self):
        return self.room

    def fewer(self, base, threads):
        name = f"{base.name}, {threads} thread"
        return self.setdefault(name, Entrant(base.planned.__class__(name, "", "")))


@pytest.mark.parametrize("room", [True, False])
def test_fewer_threads_race_in_both_profiles_or_a_row_says_why_not(room, wings, monkeypatch):
    monkeypatch.setattr("fmbench.host.useful_threads", lambda: 2)
    base = candidates.base_of(CommandLine.parse(["--model_name", str(wings / "tiny")], the_parser().flags), "cpu")
    members = Members({name: Entrant(candidates.planned(base, "", Candidate(name, words, ""))) for name, words in
                       {"cpu float32": "", "eager": "--model:attn_implementation eager"}.items()}, room)  # fmt: skip
    races = {profile: Race(profile, "cpu float32") for profile in ("online", "bulk")}
    for profile, number, name in itertools.product(races, range(LEAST), tuple(members)):
        races[profile].take(Turn(profile, 0, number, name, 1, 10, 100, 1.0, 1.0))
    turns = Turns(members, races, None, SimpleNamespace(left=100.0))
    for race in races.values():
        turns._try_fewer_threads(race, 0)
        assert ("eager, 1 thread" in race.live(0)) is room
    assert (members["eager, 1 thread"].why_not or "").startswith("not tried: ") is not room


def test_the_former_name_says_so_and_asks_the_same(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(program, "run", lambda words: seen.append(words) or 0)
    assert program.ladder(["--platform", "cpu", "--model_name", "m", "--texts", "t"]) == 0
    assert seen == [["--platforms", "cpu", "--model_name", "m", "--texts", "t"]]
    assert "`fmbench fidelity ladder` is `fmbench choose` now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("milliseconds", "tokens", "budget", "expected"),
    [
        (10, 240, 1024, 64),  # the usual
        (10, 10, 1024, 250),  # four batches have 409: they would take too long
        (1, 10, 1024, 409),
        (1, 240, 65_536, 1092),
        (0.1, 10, 65_536, 2048),  # no more
        (200, 240, 1024, 16),  # no fewer
    ],
)
def test_a_turn_of_bulk_has_enough_texts_for_the_platforms_batches_unless_that_is_too_long(
    milliseconds, tokens, budget, expected, wings, restore_torch, monkeypatch
):
    base = candidates.base_of(CommandLine.parse(["--model_name", str(wings / "tiny")], the_parser().flags), "cpu")
    one = Entrant(candidates.planned(base, "", Candidate("cpu float32", "", "")))
    now = [0]
    monkeypatch.setattr("fmbench.drivers.choose.entrant.Clock", lambda: SimpleNamespace(now=lambda: now[0]))

    def encode_chunks(chunks, role, given):
        assert (role, given) == ("passage", budget)
        now[0] += round(1e6 * milliseconds) * len(chunks[0])
        one.encoder.timings.tokens += tokens * len(chunks[0])
        return []

    one.encoder = SimpleNamespace(platform=SimpleNamespace(tokens_per_batch=budget), encode_chunks=encode_chunks)
    assert one.turn(["a text"] * 100, "bulk") == expected


def test_what_is_asked_for_and_is_another_one_already_is_said_and_races_once(wings, capsys):
    asked = ["--threads 1", "--threads 1", "--threads 1 --model:dtype@ torch.float32", "--model:dtype@ torch.float32"]
    words = ["--dataset", wings / "wings", "--model_name", wings / "tiny", "--platforms", "cpu"]
    more = itertools.chain.from_iterable(("--vs", one) for one in asked)
    found, _ = candidates.plan(parse([*map(str, words), *more]), None)
    assert [one.name for one in found if one.reason == "--vs"] == ["--threads 1"]
    same = "--vs '{}' is the same configuration as {}, and races once"
    names = ["--threads 1", "--threads 1", "cpu float32"]
    notes = [f"note: {same.format(one, name)}" for one, name in zip(asked[1:], names, strict=True)]
    assert [line for line in capsys.readouterr().err.splitlines() if "same configuration" in line] == notes
