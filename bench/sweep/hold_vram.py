"""Hold GPU memory so that FREE_GIB stay free for others, until stdin closes or the process is killed.

usage: hold_vram.py FREE_GIB. Prints one line that starts with "holding" once the memory is held.
"""

from __future__ import annotations

import sys

import torch

SMALLEST_PIECE = 2 * 1024**2


def main() -> None:
    wanted = int(float(sys.argv[1]) * 1024**3)
    free, total = torch.cuda.mem_get_info()
    if free < wanted:
        print(f"only {free / 1024**3:.1f} of {total / 1024**3:.1f} GiB are free")
        return
    held = []
    while True:
        spare = torch.cuda.mem_get_info()[0] - wanted
        if spare < SMALLEST_PIECE:
            break
        held.append(torch.empty(spare // SMALLEST_PIECE * SMALLEST_PIECE, dtype=torch.uint8, device="cuda"))
    print(f"holding {sum(map(len, held)) / 1024**3:.2f} GiB", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
