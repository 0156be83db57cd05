"""The pack's one logger. Its name is fixed because ComfyUI loads packs under a module name that is a folder path."""

import logging

log = logging.getLogger("qwen-image-loader")
