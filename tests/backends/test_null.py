import pytest

from fmbench.backends.null import NullBackend
from fmbench.configuration import Configuration
from fmbench.drivers.embed import main
from fmbench.lines import Res, is_json, parse_line
from fmbench.options import parse_arguments
from fmbench.session import platform_facts


def test_the_harness_alone(capsys) -> None:
    argv = [
        "--platform",
        "null",
        "--model_class",
        "Any",
        "--model_name",
        "nothing",
        "--input_sizes",
        "8",
        "--batch_sizes",
        "2",
        "--reps",
        "20",
    ]
    assert main(argv) == 0
    lines = [parse_line(line) for line in capsys.readouterr().out.splitlines()]
    (result,) = [line for line in lines if isinstance(line, Res)]
    assert (result.model, result.input_size, result.batch_size) == ("nothing", 8, 2)
    facts = {key: value for line in lines if is_json(line, "ENV") for key, value in line.data.items()}
    assert facts["device"] == "null" and facts["simulated"] == "the null backend computes nothing"


class Silent(NullBackend):
    """Says nothing of a device."""

    def facts(self) -> dict:
        return {}


class Numbered(NullBackend):
    """Says which of its devices it has."""

    def facts(self) -> dict:
        return {"device": f"card:{self._index}"}


@pytest.mark.parametrize(
    ("platform", "devices"),
    [(NullBackend, ["null", "null:3"]), (Silent, [None, "null:3"]), (Numbered, ["card:0", "card:3"])],
)
def test_each_device_is_a_configuration_of_its_own(platform: type[NullBackend], devices: list) -> None:
    named = ["--platform", "null", "--model_class", "Any", "--model_name", "nothing"]
    found = []
    for device in ("0", "3"):
        one, arguments = (
            platform(),
            parse_arguments([*named, "--input_sizes", "8", "--batch_sizes", "2", "--device", device]),
        )
        one.setup(arguments)
        found.append(platform_facts(one, arguments))
    assert [facts.get("device") for facts in found] == devices
    assert len({Configuration.of(facts).id for facts in found}) == 2
