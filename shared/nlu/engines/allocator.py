"""Makes the C library's allocator return the memory that loading a model took for a moment."""

import ctypes

__all__ = ["give_back_early"]

# The numbers of <malloc.h>, which glibc has promised never to change.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE_BYTES = 1 << 20
ARENAS = 2


def give_back_early() -> None:
    """Large blocks go back to the system as soon as they are freed, and few threads keep a heap of their own.

    By itself glibc keeps blocks of up to 32 MB for later, which after loading is tens of megabytes for nothing.
    Other C libraries know nothing of this, and are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for option, value in (
        (M_MMAP_THRESHOLD, LARGE_BYTES),
        (M_TRIM_THRESHOLD, LARGE_BYTES),
        (M_ARENA_MAX, ARENAS),
    ):
        mallopt(option, value)
