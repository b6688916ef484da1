"""Work that threads do while its results are taken, in order: ahead of its reader, or several pieces at once."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

END = object()
Item = TypeVar("Item")
Result = TypeVar("Result")
Worker = TypeVar("Worker")


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


def side_by_side(
    items: Iterable[Item], work: Callable[[Worker, Item], Result], workers: Sequence[Worker]
) -> Generator[Result]:
    """Yield `work(worker, item)` of each item, in order, while every worker works on another one in a thread.

    What a thread raises is raised here. When the iterator is closed or fails, Ctrl-C included, the threads end after
    the items that they are working on.
    """
    import torch

    threads, idle = torch.get_num_threads(), SimpleQueue[Worker]()
    for worker in workers:
        idle.put(worker)

    def step(item: Item) -> Result:
        worker = idle.get()
        try:
            return work(worker, item)
        finally:
            idle.put(worker)

    alone = partial(torch.set_num_threads, 1)  # there is one of these threads a core
    with ThreadPoolExecutor(len(workers), "stream", alone) as pool:
        pending = [pool.submit(step, item) for item in items]
        try:
            for future in pending:
                yield future.result()
        finally:
            for future in pending:
                future.cancel()
            pool.shutdown()
            torch.set_num_threads(threads)  # some libraries know one number for all threads
