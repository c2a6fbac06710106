"""Keep freed memory in the process, so that every step does not fetch its pages from the system again."""

from __future__ import annotations

import ctypes
import os
import platform

# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_LARGEST, _PADDING = 2**31 - 1, 2**26


def keep_freed_memory() -> bool:
    """Tell the C library to reuse large freed blocks instead of unmapping them; True if it could.

    XLA on the CPU allocates the work space of a call anew each time. Above 32 MB the GNU C library
    maps such a block and unmaps it after use, and touching the fresh pages costs as much as the arithmetic
    (compare ``FERROJAX_KEEP_MEMORY=0 python benchmarks/potential.py --sizes 625``). The process then keeps its peak memory until
    it ends. ``FERROJAX_KEEP_MEMORY=0`` in the environment leaves the C library alone, as does a
    C library other than GNU's.
    """
    if os.environ.get("FERROJAX_KEEP_MEMORY", "1") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # One arena, since those of further threads cannot hold a block above 64 MB.
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST), (_M_TOP_PAD, _PADDING))
    return all(mallopt(name, value) == 1 for name, value in settings)
