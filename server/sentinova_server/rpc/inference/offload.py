"""Where work is done: on the event loop where it is quick, otherwise on another thread.

Knows sizes; must not know what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

# What is taken apart or put together of up to this many bytes takes a fraction of a millisecond.
_INLINE_BYTES = 1 << 16

_T = TypeVar("_T")


async def offload(size: int, function: Callable[[], _T]) -> _T:
    """Calls a function, on another thread where the size of what it works on says that it takes long.

    Args:
        size: bytes that it goes through.
        function: what to call.
    """
    return function() if size <= _INLINE_BYTES else await asyncio.to_thread(function)
