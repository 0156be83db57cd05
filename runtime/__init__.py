"""Does: the only place that touches ComfyUI, torch, the disk and the network."""
