import shutil

from fmbench.walk import files_below, inside


def test_folders_that_go_while_they_are_walked_hold_nothing(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").touch()
    found = files_below(tmp_path)
    assert next(found) == tmp_path / "a" / "below" / "file"
    shutil.rmtree(tmp_path / "b")
    assert list(found) == [tmp_path / "c" / "below" / "file"]
    shutil.rmtree(tmp_path)
    assert list(files_below(tmp_path)) == inside(tmp_path) == []


def test_what_is_hidden_and_what_is_too_deep_is_left_out(tmp_path):
    for name in ("x/file", "x/.hidden", ".x/file", "x/y/file", "file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "x")
    named = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, 2)]
    assert named == ["file", "x/file"]
    followed = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, 2, links=True)]
    assert followed == ["file", "link/file", "x/file"]
