"""`fmbench results add`, `check` and `remove`: what goes into a store, and what comes of it."""

import sys
from collections.abc import Sequence

from fmbench.console import Progress, note, warn
from fmbench.errors import FmbenchError, UsageError
from fmbench.parsing import nonempty

from ..reading.sources import find_sources
from ..writing.view import harmless
from .adding import add
from .arguments import ENTRIES, parser_of
from .checking import problems
from .entry import COMMIT, LOG
from .store import SHOWN, Store, Warn

ADD = """\
what is kept:
  The log, packed: every repetition of it. With it, the results that `process` prints now, and the facts of the run.
  One entry a log: a log of several runs (--resume, --isolate) is one entry; it must be of one machine.

  A log that is there already, packed or not, stays as it is. Its name is printed all the same. One that has grown
  since takes the place of its beginning; a beginning adds nothing.
  A program that is killed leaves no half entry. Two at once do not disturb each other.

exit codes:
  0 done, 1 the store could not be written, 2 the command line is wrong, or a log holds no results (the others are kept)

examples:
  fmbench results add run.log
  fmbench results add nightly/                        every *.log and *.log.gz below the folder
  driver ... | tee run.log | fmbench results add -
  fmbench results add run.log --store s3://bucket/results
"""

CHECK = """\
what is checked:
  That every file can be read, and that it is what was written (its digest); that every entry has all of its files;
  that nothing is left of a program that was killed. Files that belong to no entry are named, and are no problem: a page
  or pictures may lie beside the entries. Nothing is changed.

exit codes:
  0 all is well, 1 something is not, and each line says what, 2 there is no such store or entry

examples:
  fmbench results check
  fmbench results check --store s3://bucket/results
"""

REMOVE = """\
The entry is removed at once, with its log, and nobody asks. What is named must be one entry: a machine with several
runs is refused. `fmbench results list` prints the names.

examples:
  fmbench results remove 20251121T014300Z-embed-3f2a
  fmbench results remove nvidia-h200-5ad3f6c1/20251121T014300Z-embed-3f2a90b14c5d
"""


def add_logs(argv: Sequence[str]) -> int:
    """Add logs, and print the name of the entry of each."""
    parser = parser_of("add", "Keep logs with their results.", ADD)
    parser.add_argument("logs", nargs="+", type=nonempty, metavar="LOG", help="log, gzip or not, folder of logs, or -")
    arguments = parser.parse_known(argv)
    sources = find_sources(arguments.logs)
    store = Store.ready(arguments.store)
    refused: list[str] = []
    progress = Progress()
    for number, source in enumerate(sources, start=1):
        try:
            added = add(store, source, warn, shown(progress, f"{number} of {len(sources)}: {harmless(source.name)}"))
        except UsageError as error:
            refused.append(str(error))
            if len(sources) > 1:
                warn(str(error))
            continue
        finally:
            progress.clear()
        if added.replaced:
            note(f"{source.name}: has grown since it was kept as {', '.join(added.replaced)}, and takes that place")
        elif not added.new:
            note(f"{source.name}: is in {store.name} already")
        sys.stdout.write(f"{added.name}\n")
        sys.stdout.flush()
    if refused:
        several = f"{len(refused)} of the logs were not kept, as said above; the others were"
        raise UsageError(refused[0] if len(sources) == 1 else several)
    return 0


def shown(progress: Progress, before: str) -> Warn:
    """Return what shows a text behind another."""
    return lambda text: progress.show(f"{before}: {text}")


def check(argv: Sequence[str]) -> int:
    """Print what is wrong with a store, a line each; return 1 where something is."""
    parser = parser_of("check", "Check that a store is what it was.", CHECK)
    parser.add_argument("entries", nargs="*", type=nonempty, metavar="ENTRY", help=ENTRIES)
    arguments = parser.parse_known(argv)
    store = Store.existing(arguments.store)
    names, progress = store.choose(arguments.entries), Progress()
    found = [] if arguments.entries else loose_ends(store)
    for number, name in enumerate(names, start=1):
        progress.show(f"{number} of {len(names)}: {harmless(name)}")
        try:
            wrong = [f"{name}: {text}" for text in problems(store, name)]
        except (FmbenchError, OSError):
            if not store.gone(name):
                raise
        if store.gone(name):  # removed while it was checked
            continue
        found += wrong
    progress.clear()
    sys.stdout.writelines(f"{harmless(text)}\n" for text in found)
    if strangers := [] if arguments.entries else store.strangers():
        shown = [*map(harmless, strangers[:SHOWN]), *(["..."] if len(strangers) > SHOWN else [])]
        note(f"{store.name}: belong to no entry, and are not read: files: {len(strangers)} ({', '.join(shown)})")
    note(f"{store.name}: entries: {len(names)}, problems: {len(found)}")
    return int(bool(found))


def loose_ends(store: Store) -> list[str]:
    """Return what is in a store and is no entry, a line each."""
    halves = [f"{folder}: is a store of its own; name it, or move it out" for folder in store.nested()]
    for name in store.halves():
        if store.gone(name) or store.place.has(
            f"{name}/{COMMIT}"
        ):  # another program was at it when the store was listed
            continue
        kept = store.has(f"{name}/{LOG}")
        way = f"add its {LOG} again, or remove it" if kept else "remove it"
        halves.append(f"{name}: is half an entry, left by a program that was killed; {way}")
    hidden = [
        f"{path}: was left by a program that was killed; the next add removes it" for path in store.place.leftovers()
    ]
    return halves + hidden


def remove(argv: Sequence[str]) -> int:
    """Remove one entry."""
    parser = parser_of("remove", "Remove one entry.", REMOVE)
    parser.add_argument("entry", type=nonempty, metavar="ENTRY", help="name, or how one, and no other, begins")
    arguments = parser.parse_known(argv)
    store = Store.existing(arguments.store)
    name = store.only(arguments.entry)
    store.remove(name)
    note(f"removed {name} from {store.name}")
    return 0
