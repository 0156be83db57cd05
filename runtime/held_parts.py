"""Keeps the loaded parts of the nodes in the current workflow, so that a new choice reloads only what it changes.

ComfyUI's own loaders get this from its output cache, because each is a node of its own. Parts are let go when

- a new plan of their node does not use them, before anything new is loaded;
- a workflow without their node is queued;
- ComfyUI drops the node's output while no prompt runs (its "Unload models and cache" button).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any


class HeldParts:
    """Loaded objects by key, and which node uses which keys. Safe to use from the server's and the worker's thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may run inside of any of the calls below
        self._parts: dict[Hashable, Any] = {}
        self._used_by: dict[str, frozenset[Hashable]] = {}

    def keep_for(self, node_id: str, keys: Iterable[Hashable]) -> None:
        """Say what a node is about to use; everything that no node uses any more is let go, before anything loads."""
        with self._lock:
            self._used_by[node_id] = frozenset(keys)
            self._let_go()

    def holds(self, key: Hashable) -> bool:
        """Whether `get_or_load` would find the part."""
        with self._lock:
            return key in self._parts

    def get_or_load(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The held part of a key, or what `load` returns, held from now on. Raises what `load` raises."""
        with self._lock:
            if key in self._parts:
                return self._parts[key]
        part = load()
        with self._lock:
            self._parts[key] = part
        return part

    def let_go_with(self, output: object, node_id: str, is_idle: Callable[[], bool]) -> None:
        """Let go of a node's parts when its `output` dies while `is_idle()`; during a run it is only re-made."""
        weakref.finalize(output, self._output_died, node_id, is_idle).atexit = False

    def _output_died(self, node_id: str, is_idle: Callable[[], bool]) -> None:
        if is_idle():
            with self._lock:
                self._used_by.pop(node_id, None)
                self._let_go()

    def forget_nodes_outside(self, graph: Mapping[str, Any], class_type: str) -> None:
        """Let go of what nodes hold that are not in `graph` (API form: node id -> class_type and inputs)."""
        here = {
            str(node_id)
            for node_id, node in graph.items()
            if isinstance(node, Mapping) and node.get("class_type") == class_type
        }
        with self._lock:
            self._used_by = {node_id: keys for node_id, keys in self._used_by.items() if node_id in here}
            self._let_go()

    def _let_go(self) -> None:
        used = frozenset().union(*self._used_by.values())
        self._parts = {key: part for key, part in self._parts.items() if key in used}
