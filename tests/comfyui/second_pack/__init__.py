"""Another author's pack, whose folders have the names of ours."""

from .nodes import SecondPackNode

NODE_CLASS_MAPPINGS = {"SecondPackNode": SecondPackNode}
