"""Decides. Standard library only: no torch, no ComfyUI, no network, no disk access."""
