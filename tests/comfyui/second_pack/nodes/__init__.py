from ..planner import WORD
from ..runtime import twice


class SecondPackNode:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return (twice(WORD),)
