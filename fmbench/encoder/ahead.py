"""Work done in a thread a few items ahead of whoever needs its results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
END = object()


def ahead(items: Iterable[Item], work: Callable[[Item], Result], depth: int) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, while a thread reads and works on the next `depth` items.

    What the thread raises is raised here. When the iterator is closed or fails, Ctrl-C included, the thread ends
    after the item that it is working on.
    """
    source = iter(items)

    def step() -> object:
        item = next(source, END)
        return item if item is END else work(item)  # type: ignore[arg-type]

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokenise") as pool:
        pending = deque(pool.submit(step) for _ in range(depth))
        try:
            while (result := pending.popleft().result()) is not END:
                pending.append(pool.submit(step))
                yield result  # type: ignore[misc]
        finally:
            for future in pending:
                future.cancel()
