"""Shows: the pack's V3 nodes, thin captions over runtime/."""
