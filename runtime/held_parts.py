"""Keeps the loaded parts of the nodes in the current workflow, so that a new choice reloads only what it changes.

ComfyUI's own loaders get this from its output cache, because each is a node of its own. Here parts are held as long as
that cache holds their node's output, and while a run makes it anew. They are let go when

- a new plan of their node does not use them, or loading them fails;
- the output has died and no running workflow has the node (another workflow ran, or "Unload models and cache");
- the output has died in a run that did not make it again, once nothing runs or waits (`--cache-none`).

A model must not die in another thread while ComfyUI's worker goes through its loaded models, which have no lock. So the
thread in which an output dies, the worker, lets go of its parts, and the watching thread only when all is idle.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

Graph = Mapping[str, Any]  # API form: node id -> class_type and inputs
Queue = tuple[Sequence[Graph], Sequence[Graph]]  # what runs, and what waits
TICK_SECONDS = 0.25
IDLE_TICKS = 3  # without a workflow, before the watching thread lets go


class HeldParts:
    """Loaded objects by key, and which node uses which keys. Safe to use from the server's and the worker's thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._parts: dict[Hashable, Any] = {}
        self._used_by: dict[str, frozenset[Hashable]] = {}
        self._outputs: Counter[str] = Counter()  # of a node, still alive
        self._dead: set[str] = set()  # nodes whose output died while a workflow ran that has them
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()  # ids of nodes that the watching thread looks after
        self._class_type = ""
        self._queue: Callable[[], Queue] = lambda: ([], [])

    def watch(self, class_type: str, queue_of_graphs: Callable[[], Queue]) -> None:
        """Look after nodes of `class_type` from now on."""
        self._class_type, self._queue = class_type, queue_of_graphs
        threading.Thread(target=self._look_after, name="qwen-image-loader parts", daemon=True).start()

    def keep_for(self, node_id: str, keys: Iterable[Hashable]) -> None:
        """Say what a node is about to use; everything that no node uses any more is let go, before anything loads."""
        running, _ = self._queue()
        with self._lock:
            self._used_by[node_id] = frozenset(keys)
            for other in list(self._used_by):
                if other != node_id and not self._is_needed(other, running):
                    del self._used_by[other]
            self._let_go()

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
        weakref.finalize(output, self._output_died, node_id).atexit = False

    def _output_died(self, node_id: str) -> None:
        """A finalizer: it may run anywhere, also inside of a lock, so it waits for none of this class."""
        running, _ = self._queue()
        if not self._lock.acquire(blocking=False):
            self._events.put(node_id)
            return
        try:
            self._count_death(node_id, running)
        finally:
            self._lock.release()

    def _count_death(self, node_id: str, running: Sequence[Graph]) -> None:
        self._outputs[node_id] -= 1
        if self._is_needed(node_id, running):
            if self._outputs[node_id] <= 0 and node_id not in self._dead:
                self._dead.add(node_id)
                self._events.put("")
        else:
            self._used_by.pop(node_id, None)
            self._let_go()

    def _look_after(self) -> None:
        """The watching thread: lets go of what a run was to make again and did not, once nothing runs or waits."""
        idle = 0
        while True:
            waits = bool(self._dead)
            try:
                event = self._events.get(timeout=TICK_SECONDS if waits else None)
            except queue.Empty:
                event = ""
            idle = 0 if any(self._queue()) else idle + 1
            with self._lock:
                if event:
                    self._outputs[event] -= 1
                    self._dead.add(event)
                self._dead = {node for node in self._dead if node in self._used_by and self._outputs[node] <= 0}
                if idle >= IDLE_TICKS and self._dead:
                    for node_id in self._dead:
                        self._used_by.pop(node_id, None)
                    self._dead.clear()
                    self._let_go()

    def _is_needed(self, node_id: str, running: Sequence[Graph]) -> bool:
        """Whether an output of the node is alive, or what runs has it."""
        return self._outputs[node_id] > 0 or any(self._has(graph, node_id) for graph in running)

    def _has(self, graph: Graph, node_id: str) -> bool:
        """Whether a graph has the node, or the one that made it while it ran ("7.0.0.1" is of "7")."""
        node, maker = graph.get(node_id), node_id.partition(".")[0]
        is_loader = isinstance(node, Mapping) and node.get("class_type") == self._class_type
        return is_loader or (maker != node_id and maker in graph)

    def _let_go(self) -> None:
        used = frozenset().union(*self._used_by.values())
        self._parts = {key: part for key, part in self._parts.items() if key in used}
