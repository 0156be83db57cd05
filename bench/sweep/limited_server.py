"""A real ComfyUI server in a base directory of its own, inside a control group if there is one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from comfyui_host import Host
from comfyui_server import ComfyServer, link_pack

from .cells import SIDES, STOCK
from .limits import ControlGroup

WITHOUT_FILE = Path("user", "__qwen_image_loader", "without.txt")  # runtime/switches.py reads it
ENTER_GROUP = 'echo $$ > "$0" && exec "$@"'


class LimitedServer(ComfyServer):
    """A ComfyServer whose process enters `group` before Python starts, so that all its memory is counted there."""

    def __init__(
        self,
        host: Host,
        base: Path,
        args: Iterable[str],
        env: Mapping[str, str],
        group: ControlGroup | None = None,
    ) -> None:
        super().__init__(host, base, args, env)
        self.group = group

    def command(self, *more: str) -> list[str]:
        plain = super().command(*more)
        return ["sh", "-c", ENTER_GROUP, str(self.group.processes), *plain] if self.group else plain

    @property
    def pid(self) -> int:
        """The process of the running server."""
        assert self.process is not None
        return self.process.pid


def prepare_base(base: Path, side: str, place_models: Callable[[Path], None]) -> None:
    """An empty base directory: models, and for the loader's graphs the pack. Stock runs without it."""
    shutil.rmtree(base, ignore_errors=True)
    (base / "custom_nodes").mkdir(parents=True)
    if side != STOCK:
        link_pack(base / "custom_nodes")
    place_models(base)
    if SIDES[side].without:
        (base / WITHOUT_FILE).parent.mkdir(parents=True)
        (base / WITHOUT_FILE).write_text("\n".join(SIDES[side].without), encoding="utf-8")
