"""A store that other programs change while it is read or written: entries come and go, and nobody minds."""

import shutil
from pathlib import Path

import pytest

from fmbench.process.reading.sources import find_sources
from fmbench.process.store.keep import loose_ends
from fmbench.process.store.local import LocalPlace
from fmbench.process.store.store import Store
from tests.trials.store_at_once import round_of

from .conftest import files


def entry(store, name):
    return Path(store, name)


@pytest.fixture
def two(results, log):
    """A store with two entries, opened; and their names, of which the first is about to go."""
    names = [*results("add", log("a.log", latency=2.0)).out, *results("add", log("b.log", latency=3.0)).out]
    return Store.existing("results"), sorted(names)


@pytest.mark.slow
def test_programs_that_add_and_list_at_once_all_do_what_they_should():
    assert dict(round_of(8, readers=4)) == {"programs": 12, "logs": 8}


def test_a_store_that_is_listed_while_workspaces_go(results, log, two):
    """What the listing finds hidden may be gone when it is looked into."""
    place = LocalPlace(Path("results"))
    with place.workspace() as folder:
        (folder / "driver.log.gz").touch()
        before = place.paths()
    assert before == place.paths() == files("results")


def test_entries_that_are_removed_after_a_store_was_opened_are_passed_over(results, two):
    store, (gone, kept) = two
    results("remove", gone)
    warnings = []
    assert [found.name for found in store.entries([gone, kept], warnings.append)] == [kept]
    assert [result.source for result in store.results([gone, kept], warnings.append)] == [kept]
    assert warnings == [] and loose_ends(store) == []


def test_results_that_are_missing_with_their_log_are_an_error_still(results, two):
    _, (broken, _) = two
    for file in ("results.json", "driver.log.gz"):
        entry("results", broken).joinpath(file).unlink()
    assert f"{broken}/driver.log.gz: cannot be read" in results("show", code=2).err[-1]


def test_an_entry_that_is_removed_twice(results, two):
    store, (gone, kept) = two
    for _ in range(2):
        store.place.remove(gone)
    assert Store.existing("results").names() == [kept]


def test_a_listing_from_before_takes_no_whole_entry_away(results, log, two):
    """Another program made an entry whole after this one had listed the store."""
    _, (name, _) = two
    entry("results", name).joinpath("results.json").rename("aside.json")
    listed = Store.existing("results")
    Path("aside.json").rename(entry("results", name) / "results.json")
    mark = entry("results", name).stat().st_ino
    with listed.place.workspace() as folder:
        for file in ("driver.log.gz", "results.json", "environment.json"):
            shutil.copyfile(entry("results", name) / file, folder / file)
        assert listed.publish(folder, name) is False
    assert entry("results", name).stat().st_ino == mark


def test_what_lies_behind_a_link_is_not_cleaned_up(results, log, two, tmp_path):
    outside = tmp_path / "outside" / ".unfinished-mine"
    outside.mkdir(parents=True)
    Path("results", "linked").symlink_to(tmp_path / "outside")
    Path("results", ".unfinished-link").symlink_to(tmp_path / "outside")
    results("add", log("c.log", latency=4.0))
    assert outside.is_dir() and not Path("results", ".unfinished-link").is_symlink()


def test_a_log_that_goes_after_its_folder_was_looked_at_is_a_warning(tmp_path, log):
    log("a.log"), log("b.log")
    sources, warnings = find_sources([str(tmp_path)]), []
    (tmp_path / "a.log").unlink()
    assert [bool(list(source.lines(warnings.append))) for source in sources] == [False, True]
    assert warnings == [f"{tmp_path}/a.log: is gone, and left out"]
