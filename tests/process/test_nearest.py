"""Two paths without a shape under one configuration: what differs is named, and the words that let it are right."""

import json

from fmbench.process.comparing.compare import main

from .test_compare import JSON, log_text, noisy, told


def folder_of(tmp_path, name, **facts):
    """A folder of a shape in two types, under facts that both have."""
    (tmp_path / name).mkdir()
    for number, dtype in enumerate(("float32", "bfloat16")):
        said = json.dumps({"model": "org/m", "platform": "cpu", "device": "d0", "dtype": dtype, **facts})
        (tmp_path / name / f"{dtype}.log").write_text(log_text({8: noisy(seed=number)}, said))
    return str(tmp_path / name)


def proposal(capsys):
    """The words that the error proposes."""
    return capsys.readouterr().err.strip().rpartition("--across ")[2]


def test_what_keeps_configurations_apart_is_named_with_what_one_side_lacks(tmp_path, capsys):
    base, new = folder_of(tmp_path, "base", mkl="2024.2", threads=2), folder_of(tmp_path, "new", threads=1)
    assert main([base, new]) == 2
    said = capsys.readouterr().err
    assert "mkl: 2024.2 and None" in said and "threads: 2 and 1" in said and "dtype" not in said
    words = said.strip().rpartition("--across ")[2]
    assert sorted(words.split(",")) == ["mkl", "threads"]
    assert main([base, new, "--across", words, *JSON]) == 0
    assert len(told(capsys.readouterr().out)["shapes"]) == 2


def test_a_word_that_no_fact_has_is_not_proposed(tmp_path, capsys):
    base, new = folder_of(tmp_path, "base", threads=2), folder_of(tmp_path, "new", threads=1)
    assert main([base, new, "--across", "colour"]) == 2
    assert proposal(capsys) == "threads"
