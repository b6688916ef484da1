"""`fmbench retrieve precision` from its words to its line."""

from fmbench import lines
from fmbench.drivers.retrieve.cli import main


def test_precision_looks_as_deep_as_the_predictions_are(tmp_path, capsys):
    gold, predicted = tmp_path / "gold", tmp_path / "predicted"
    gold.write_text("a\nb\n")
    predicted.write_text("a\tx\ty\tz\nb\tx\n")
    words = ["precision", "--gold_data_path", str(gold), "--predictions_path", str(predicted)]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert lines.parse_line(printed.out.splitlines()[-1]).data["precision_curve"]["k"] == [1, 2, 3]
    assert "warning" in printed.err and "the shortest line has 2 titles; beyond, up to k = 3" in printed.err
    assert main([*words, "--k", "1,2"]) == 0
    assert not capsys.readouterr().err
    assert main([*words, "--precision_k", "1"]) == 2
    assert "did you mean --k?" in capsys.readouterr().err
    predicted.write_text("\n\n")
    assert main(words) == 2
    assert "beyond the retrieved depth of 0" in capsys.readouterr().err


def test_titles_of_another_number_of_questions_are_refused(tmp_path, capsys):
    (tmp_path / "gold").write_text("a\nb\n")
    (tmp_path / "predicted").write_text("a\n")
    words = ["--gold_data_path", str(tmp_path / "gold"), "--predictions_path", str(tmp_path / "predicted"), "--k", "1"]
    assert main(["precision", *words]) == 2
    assert "1 questions and gold for 2" in capsys.readouterr().err
    (tmp_path / "predicted").write_text("a\nb\n")
    assert main(["precision", *words[:-1], "1,5"]) == 2
    assert "beyond the retrieved depth of 1" in capsys.readouterr().err
