from fmbench.drivers.embed import main
from fmbench.lines import Res, is_json, parse_line


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
