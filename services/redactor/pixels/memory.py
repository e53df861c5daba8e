"""The C library's heap under a limit on address space, and how want of memory is told by libraries."""

import contextlib
import ctypes

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # from <malloc.h>
OWN_MAPPING_BYTES = 2 * 2**20
"""Blocks from this size on go back to the system the moment they are freed."""


def out_of_memory(error: Exception) -> bool:
    """OpenCV and onnxruntime tell of it only in words."""
    said = str(error).lower()
    return any(words in said for words in ("insufficient memory", "bad_alloc", "bad allocation", "failed to allocate"))


def tame_heap() -> None:
    """Two habits of the C library that would have the limit count what nothing uses: each thread of a library reserves
    64 MB of address space for a heap of its own, and great blocks come to lie between small ones that hold them."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 2)
        libc.mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def trim() -> None:
    """Hand freed memory back to the system: after one great picture the worker would keep its peak for ever."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
