"""`fmbench results export`: the results of a store as a Parquet data set, a file a machine, all of one schema."""

import json
from pathlib import Path

from fmbench.errors import UsageError
from fmbench.leftovers import temporary_folder

from ..writing.parquet import kinds_of, write_cells
from .local import LocalPlace
from .place import Place
from .rows import results_table, with_place_first
from .store import Store, Warn, place_of

# Says what this is. Readers of data sets pass over what begins with an underscore.
MANIFEST = "_fmbench.json"
FILE = "results.parquet"


def export(store: Store, target: str, warn: Warn) -> list[str]:
    """Write the results of a store to a folder or a URL; return the files' paths within it.

    What an earlier export left there is replaced. Raises UsageError where something else is.
    """
    place = place_of(target)
    if isinstance(place, LocalPlace) and store.place.holds(place.root):
        raise UsageError(f"--out {target}: lies in the store {store.name}; name a folder outside of it")
    before = exported(place)
    place.write(MANIFEST, f"{json.dumps({'what': 'an export of a store of fmbench results'})}\n".encode())
    with results_table(store, store.names(), warn) as table, temporary_folder() as folder:
        kinds = with_place_first(kinds_of(table))
        del kinds["machine"]  # the folder says it
        files = []
        for machine in sorted({row["machine"] for row in table}):
            part = Path(folder, FILE)
            with part.open("wb") as stream:
                write_cells((row for row in table if row["machine"] == machine), kinds, stream)
            files.append(f"machine={machine}/{FILE}")
            place.put(part, files[-1])
    for path in sorted(set(before) - set(files)):
        place.delete(path)
    return files


def exported(place: Place) -> list[str]:
    """Return the files of an earlier export. Raises UsageError where something else is in the place."""
    paths = place.paths()
    if not paths:
        return []
    if MANIFEST not in paths:
        raise UsageError(f"{place.name}: holds something else; name an empty or a new folder with --out")
    return [path for path in paths if path.startswith("machine=") and path.endswith(f"/{FILE}")]
