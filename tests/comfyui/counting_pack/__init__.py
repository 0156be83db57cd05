"""A pack that tells how many Qwen-Image diffusion models are alive in the server."""

import gc

from aiohttp import web
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
from server import PromptServer

NODE_CLASS_MAPPINGS = {}


@PromptServer.instance.routes.get("/test/models-alive")
async def models_alive(request):
    gc.collect()
    return web.json_response(sum(type(thing) is QwenImageTransformer2DModel for thing in gc.get_objects()))
