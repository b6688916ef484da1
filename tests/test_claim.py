"""A folder has one writer at a time, and a second one is told who has it."""

import errno
import os

import pytest

from fmbench.claim import one_writer
from fmbench.errors import UsageError


def test_a_second_run_is_told_which_process_writes_to_the_folder(tmp_path):
    folder = tmp_path / "new" / "out"
    with one_writer(folder, "--output_dir"):
        with pytest.raises(UsageError) as raised, one_writer(folder, "--output_dir"):
            pass
        who = f"another run writes to it (process {os.getpid()}); wait for it, or name another folder"
        assert str(raised.value) == f"--output_dir {folder}: {who}"
        assert folder.is_dir()  # the second one takes nothing away
    with one_writer(folder, "--output_dir"):
        pass


def test_a_folder_of_which_nothing_came_goes_and_one_that_holds_something_stays(tmp_path):
    with pytest.raises(KeyboardInterrupt), one_writer(tmp_path / "a" / "b", "--out"):
        raise KeyboardInterrupt
    assert not (tmp_path / "a").exists()
    with pytest.raises(KeyboardInterrupt), one_writer(tmp_path / "a" / "b", "--out"):
        (tmp_path / "a" / "b" / "file").touch()
        raise KeyboardInterrupt
    assert (tmp_path / "a" / "b" / "file").exists()


def test_no_folder_is_none_and_a_file_is_one_line(tmp_path):
    with one_writer(None, "--out"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out .*file: cannot be made"), one_writer(tmp_path / "file", "--out"):
        pass


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with one_writer(tmp_path / "out", "--out"), one_writer(tmp_path / "out", "--out"):
        pass
