"""Making the next items while the last ones are used: in a thread, or on a CUDA side stream."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

AHEAD = 2  # chunks that are ready or being made while one is used, in a thread


def in_thread(chunks: Iterator[Sequence[Item]]) -> Iterator[Item]:
    """The items of ``chunks``, made in a thread.

    An error is raised where a chunk would have come.
    """
    pool = ThreadPoolExecutor(1, "synthgen-feed")
    try:
        pending = deque(pool.submit(next, chunks, None) for _ in range(AHEAD))
        while (chunk := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, chunks, None))
            yield from chunk
    finally:
        pool.shutdown(cancel_futures=True)


def on_side_stream(
    chunks: Iterator[Sequence[Item]],
    tensors: Callable[[Item], Iterable[Any]],
    cuda: Any,
    device: Any,
) -> Iterator[Item]:
    """The items of ``chunks``, queued on a CUDA stream of their own, a chunk ahead.

    The host waits for nothing. An error is raised where a chunk would have come.

    Args:
        chunks: allocate and queue on the current stream as they are made.
        tensors: those of an item, in use on the consumer's stream from when it is handed over.
        cuda: ``torch.cuda``.
        device: of both streams.
    """
    side = cuda.Stream(device)

    def queued() -> tuple[Sequence[Item] | None, Any]:
        with cuda.stream(side):
            try:
                chunk = next(chunks, None)
            except Exception as error:
                return None, error
            made = cuda.Event()
            made.record(side)
        return chunk, made

    chunk, made = queued()
    while chunk is not None:
        following = queued()
        for item in chunk:
            consumer = cuda.current_stream(device)
            consumer.wait_event(made)
            for tensor in tensors(item):
                # Else its memory could be given to a later item while the consumer still reads it.
                tensor.record_stream(consumer)
            yield item
        chunk, made = following
    if isinstance(made, Exception):
        raise made
