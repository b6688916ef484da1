import os
import stat

import pytest

from fmbench.errors import FmbenchError, UsageError
from fmbench.whole_file import share, whole_file


def test_a_failure_leaves_what_was_there(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as stream:
        stream.write("new")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "old"


def test_what_the_system_says_is_one_line(tmp_path):
    with pytest.raises(FmbenchError, match="file: not written"), whole_file(tmp_path / "file"):
        raise OSError(28, "No space left on device")
    with pytest.raises(UsageError, match="is a folder"), whole_file(tmp_path):
        pass
    with pytest.raises(UsageError, match="cannot be written"), whole_file(tmp_path / "none" / "file"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_permissions_are_those_of_the_old_file_or_the_usual_ones(tmp_path):
    (tmp_path / "usual").write_text("")
    (tmp_path / "old").write_text("")
    (tmp_path / "old").chmod(0o640)
    for name, mode in (("new", stat.S_IMODE((tmp_path / "usual").stat().st_mode)), ("old", 0o640)):
        with whole_file(tmp_path / name) as stream:
            stream.write("text\n")
        assert (tmp_path / name).read_text() == "text\n"
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_file(tmp_path / "link") as stream:
        stream.write("text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "text"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(pipe) as stream:
            stream.write("text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_long_names_are_written(tmp_path):
    for name in ("n" * 250, "\N{CJK UNIFIED IDEOGRAPH-6A21}" * 83):
        with whole_file(tmp_path / name) as stream:
            stream.write("text")
        assert (tmp_path / name).read_text() == "text"


def test_files_that_a_library_made_get_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    usual = stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    (tmp_path / "usual").chmod(0o600)
    share(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["usual"]
    assert stat.S_IMODE((tmp_path / "usual").stat().st_mode) == usual
