"""Deadlines of an upload that is still coming in.

A total time, and a minimum rate, so that a dripping client cannot hold us for ever.

The web server's own timers are no help here: they are renewed by every byte.
"""

import asyncio
from collections.abc import AsyncIterator

from kernel.problems import Problem

# A one-shot upload may take five minutes over a village line, but must move: 8 kB/s averaged over 20 s.
TOTAL_SECONDS = 300.0
WINDOW_SECONDS = 20.0
MIN_BYTES_PER_SECOND = 8_000
# A part of a resumable upload is small and is simply sent again.
PART_SECONDS = 30.0


class UploadTooSlow(Problem):
    """The line is too slow for this way of uploading."""

    status, code, title = 408, "upload-too-slow", "网络太慢，照片没有传完。请换个信号好的地方再试，已传的部分不会丢失"


async def paced(
    chunks: AsyncIterator[bytes],
    *,
    total_seconds: float = TOTAL_SECONDS,
    window_seconds: float = WINDOW_SECONDS,
    min_bytes_per_second: float = MIN_BYTES_PER_SECOND,
) -> AsyncIterator[bytes]:
    """The same chunks; raises UploadTooSlow when the total time is over or a window brought too little."""
    clock = asyncio.get_running_loop().time
    ends = clock() + total_seconds
    window_ends, received = clock() + window_seconds, 0
    source = aiter(chunks)
    while True:
        try:
            async with asyncio.timeout_at(min(ends, window_ends)):
                chunk = await anext(source)
        except StopAsyncIteration:
            return
        except TimeoutError:
            # The window may have brought enough although this one chunk is not there yet.
            raise UploadTooSlow from None
        received += len(chunk)
        now = clock()
        if received >= min_bytes_per_second * window_seconds:
            window_ends, received = now + window_seconds, 0
        if now >= ends:
            raise UploadTooSlow
        yield chunk
