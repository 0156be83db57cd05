"""Keeps the loaded parts of the nodes in the current workflow, so that a new choice reloads only what it changes.

ComfyUI's own loaders get this from its output cache, because each is a node of its own. Parts are let go when

- a new plan of their node does not use them, or loading them fails, before anything new is loaded;
- another workflow runs, and neither it nor one that waits has their node;
- ComfyUI drops the node's output (its "Unload models and cache" button, `--cache-none`) and does not make it again.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

Graph = Mapping[str, Any]  # API form: node id -> class_type and inputs
TICK_SECONDS = 0.25
STARTS_WITHIN_SECONDS = 5.0  # a workflow that was queued and is not refused
_QUEUED = ""  # among the events: a workflow is about to be queued; the others are ids of nodes whose output has died


class HeldParts:
    """Loaded objects by key, and which node uses which keys. Safe to use from the server's and the worker's thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._parts: dict[Hashable, Any] = {}
        self._used_by: dict[str, frozenset[Hashable]] = {}
        self._outputs: Counter[str] = Counter()  # of a node, still alive
        # A finalizer may run anywhere, also inside of a lock: all it does is to put an event here.
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._class_type = ""
        self._graphs: Callable[[], Sequence[Graph]] = list

    def watch(self, class_type: str, graphs: Callable[[], Sequence[Graph]]) -> None:
        """Look after the nodes of `class_type` from now on; `graphs` gives that which runs and those that wait."""
        self._class_type, self._graphs = class_type, graphs
        threading.Thread(target=self._look_after, name="qwen-image-loader parts", daemon=True).start()

    def workflow_queued(self) -> None:
        """A workflow is about to be queued, or refused: once it runs, what only others use is let go."""
        self._events.put(_QUEUED)

    def keep_for(self, node_id: str, keys: Iterable[Hashable]) -> None:
        """Say what a node is about to use; everything that no node uses any more is let go, before anything loads."""
        graphs = self._graphs()
        with self._lock:
            self._used_by[node_id] = frozenset(keys)
            self._let_go_outside(graphs)

    def forget(self, node_id: str) -> None:
        """Let go of what only this node uses."""
        with self._lock:
            self._used_by.pop(node_id, None)
            self._let_go()

    def holds(self, key: Hashable) -> bool:
        """Whether `get_or_load` would find the part."""
        with self._lock:
            return key in self._parts

    def get_or_load(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The held part of a key, or what `load` returns, held while a node uses it. Raises what `load` raises."""
        with self._lock:
            if key in self._parts:
                return self._parts[key]
        part = load()
        with self._lock:
            self._parts[key] = part
            self._let_go()
        return part

    def let_go_with(self, output: object, node_id: str) -> None:
        """Let go of a node's parts when its `output` has died, unless the run in which that happens makes another."""
        with self._lock:
            self._outputs[node_id] += 1
        weakref.finalize(output, self._events.put, node_id).atexit = False

    def _look_after(self) -> None:
        """The watching thread: on each event, and again until what it announced has happened."""
        dead: set[str] = set()
        starts_by = 0.0
        while True:
            try:
                event = self._events.get(timeout=TICK_SECONDS if dead or monotonic() < starts_by else None)
            except queue.Empty:
                pass
            else:
                if event == _QUEUED:
                    starts_by = monotonic() + STARTS_WITHIN_SECONDS
                else:
                    with self._lock:
                        self._outputs[event] -= 1
                    dead.add(event)
            graphs = self._graphs()
            with self._lock:
                if not graphs:
                    for node_id in dead:
                        if self._outputs[node_id] <= 0:
                            self._used_by.pop(node_id, None)
                self._let_go_outside(graphs)
                dead = {node_id for node_id in dead if node_id in self._used_by and self._outputs[node_id] <= 0}

    def _let_go_outside(self, graphs: Sequence[Graph]) -> None:
        """Where a graph runs: what nodes hold that are in none."""
        if graphs:
            here = {node_id for node_id in self._used_by if any(self._has(graph, node_id) for graph in graphs)}
            self._used_by = {node_id: keys for node_id, keys in self._used_by.items() if node_id in here}
        self._let_go()

    def _has(self, graph: Graph, node_id: str) -> bool:
        """Whether the graph has the node, or the one that made it while it ran ("7.0.0.1" is of "7")."""
        node, maker = graph.get(node_id), node_id.partition(".")[0]
        is_loader = isinstance(node, Mapping) and node.get("class_type") == self._class_type
        return is_loader or (maker != node_id and maker in graph)

    def _let_go(self) -> None:
        used = frozenset().union(*self._used_by.values())
        self._parts = {key: part for key, part in self._parts.items() if key in used}
