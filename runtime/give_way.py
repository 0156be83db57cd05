"""Lets a thread work only where nobody else wants the processor.

PyTorch spreads an operation on the CPU over all cores and waits for the slowest: one more busy thread that the system
treats alike holds one of them up for some milliseconds, every time (bench/NOTES.md, *One more busy thread*).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading

NICER_BY = 10  # gives way at once, but is not starved by other programs
NICEST = 19
BELOW_NORMAL = -1  # THREAD_PRIORITY_BELOW_NORMAL, learn.microsoft.com: SetThreadPriority


def give_way() -> None:
    """Of all threads only the calling one. On systems that know no priority of a single thread: nothing."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a sandbox may forbid it; the thread then works as before
            os.setpriority(os.PRIO_PROCESS, thread, min(NICEST, os.getpriority(os.PRIO_PROCESS, thread) + NICER_BY))
    elif sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority.argtypes = (ctypes.c_void_p, ctypes.c_int)
        kernel.SetThreadPriority(kernel.GetCurrentThread(), BELOW_NORMAL)
