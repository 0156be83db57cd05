"""For tests and the demo only: lets this ComfyUI load a Qwen2.5-VL text encoder with one layer instead of 28.

The tiny text encoder has one language layer and one vision block, so the host must build that many.
Never part of the pack.
"""

from dataclasses import dataclass

import comfy.text_encoders.llama as llama


@dataclass
class OneLayer(llama.Qwen25_7BVLI_Config):
    num_hidden_layers: int = 1


class OneBlock(llama.qwen_vl.Qwen2VLVisionTransformer):
    def __init__(self, **options):
        super().__init__(**options, num_layers=1)


llama.Qwen25_7BVLI_Config = OneLayer
llama.qwen_vl.Qwen2VLVisionTransformer = OneBlock

NODE_CLASS_MAPPINGS = {}
