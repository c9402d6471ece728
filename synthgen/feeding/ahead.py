"""Making the next item while the last one is used: in a thread, or on a CUDA side stream."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

AHEAD = 2  # items that are ready or being made while one is used, in a thread


def in_thread(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, made in a thread; an error is raised where its item would have come."""
    pool = ThreadPoolExecutor(1, "synthgen-feed")
    try:
        pending = deque(pool.submit(next, items, None) for _ in range(AHEAD))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


def on_side_stream(
    items: Iterator[Item], tensors: Callable[[Item], Iterable[Any]], cuda: Any, device: Any
) -> Iterator[Item]:
    """The same items, queued on a CUDA stream of their own, one ahead; the host waits for nothing.

    Args:
        items: allocate and queue on the current stream as they are made.
        tensors: those of an item, in use on the consumer's stream from when it is handed over.
        cuda: ``torch.cuda``.
        device: of both streams.
    """
    side = cuda.Stream(device)

    def queued() -> tuple[Item | None, Any]:
        with cuda.stream(side):
            item = next(items, None)
            made = cuda.Event()
            made.record(side)
        return item, made

    item, made = queued()
    while item is not None:
        following = queued()
        consumer = cuda.current_stream(device)
        consumer.wait_event(made)
        for tensor in tensors(item):
            # Else its memory could be given to a later item while the consumer still reads it.
            tensor.record_stream(consumer)
        yield item
        item, made = following
