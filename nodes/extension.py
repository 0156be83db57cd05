"""Registers the pack's nodes and routes with ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .load_qwen_image import NODE_ID, LoadQwenImage


class QwenImageLoaderExtension(ComfyExtension):
    """The pack: one node, its routes, and letting go of models that no workflow needs."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        self._set_up()  # not in on_load, which ComfyUI 0.3.75 does not call
        return [LoadQwenImage]

    def _set_up(self) -> None:
        from comfy.cli_args import args
        from server import PromptServer

        from ..runtime.events import running_graphs
        from ..runtime.load import held_parts
        from ..runtime.routes import add_routes

        add_routes(PromptServer.instance)
        held_parts.watch(NODE_ID, running_graphs, keeps=not getattr(args, "cache_none", False))
