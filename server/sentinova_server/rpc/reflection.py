"""What server reflection looks its answers up in: several descriptor pools as one.

Knows pools; must not know services. The inference service's messages have a pool of their own, as Triton's client
registers messages of the same names in the default one, and both must live in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool


class JoinedPools:
    """Finds in the first pool that has it; raises KeyError where none has."""

    def __init__(self, pools: Sequence[DescriptorPool]) -> None:
        self._pools = pools

    def FindFileByName(self, file_name: str) -> FileDescriptor:  # noqa: N802
        """Gives a file by its name."""
        found: FileDescriptor = self._find(lambda pool: pool.FindFileByName(file_name))
        return found

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """Gives the file that defines a symbol."""
        found: FileDescriptor = self._find(lambda pool: _find_file(pool, symbol))
        return found

    def FindMessageTypeByName(self, full_name: str) -> Descriptor:  # noqa: N802
        """Gives a message by its name."""
        found: Descriptor = self._find(lambda pool: pool.FindMessageTypeByName(full_name))
        return found

    def FindExtensionByNumber(self, message: Descriptor, number: int) -> FieldDescriptor:  # noqa: N802
        """Gives an extension of a message."""
        found: FieldDescriptor = self._find(lambda pool: pool.FindExtensionByNumber(message, number))
        return found

    def FindAllExtensions(self, message: Descriptor) -> list[FieldDescriptor]:  # noqa: N802
        """Gives all extensions of a message."""
        found: list[FieldDescriptor] = self._find(lambda pool: pool.FindAllExtensions(message))
        return found

    def _find(self, look_up: Callable[[Any], Any]) -> Any:
        *others, last = self._pools
        for pool in others:
            try:
                return look_up(pool)
            except KeyError:
                continue
        return look_up(last)


def _find_file(pool: DescriptorPool, symbol: str) -> FileDescriptor:
    """Gives the file of a symbol; also of a method, which the pool itself does not find. Raises KeyError."""
    try:
        return pool.FindFileContainingSymbol(symbol)
    except KeyError:
        service, _, method = symbol.rpartition(".")
        return pool.FindServiceByName(service).methods_by_name[method].containing_service.file
