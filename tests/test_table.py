"""Plain text tables."""

from fmbench.table import columns, table


def test_columns_are_aligned_and_numbers_flush_right():
    assert table(["name", "n"], [["a", "10"], ["longer", "5"]], [1]) == "name     n\na       10\nlonger   5\n"


def test_letters_of_every_width_stand_below_each_other():
    rows = [["漢字", "1"], ["e\u0301", "2"], ["abcd", "3"]]
    lines = table(["name", "n"], rows).splitlines()
    assert [columns(line.removesuffix(line[-1])) for line in lines] == [6, 6, 6, 6]


def test_a_line_break_in_a_cell_is_a_blank():
    assert table(["a"], [["x\ny"]]) == "a\nx y\n"
