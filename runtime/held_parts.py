"""Keeps the loaded parts of the nodes in the current workflow, so that a new choice reloads only what it changes.

ComfyUI's own loaders get this from its output cache, because each is a node of its own. Here a part is held as long as

- an output of a node that uses it is alive, wherever ComfyUI's caches or a run keep it;
- a node that uses it is being loaded;
- its node is in the workflow, and the last output has died (another choice was made, RAM ran short) or loading failed.

ComfyUI keeps an instance of each node of the current workflow; it dies when another workflow runs, and by "Unload
models and cache". That is the end of the last case. With --cache-none there is none, and nothing is held so.

A model must not die in another thread while ComfyUI's worker goes through its loaded models, which have no lock. So
nothing here has a thread of its own: what is let go dies where an output or an instance did, in the worker.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Graph = Mapping[str, Any]  # API form: node id -> class_type and inputs


@dataclass(frozen=True, eq=False)
class _Output:
    """A living output of a node, and what it is made of."""

    node_id: str
    keys: frozenset[Hashable]


class HeldParts:
    """Loaded objects by key, and who needs which. Safe to use from every thread and from finalizers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[Hashable, Any] = {}
        self._outputs: set[_Output] = set()
        self._loading: dict[str, frozenset[Hashable]] = {}  # by node id
        self._expected: dict[str, frozenset[Hashable]] = {}  # by the id of a node that will probably load them again
        self._died: deque[_Output | None] = deque()  # outputs, and None for an instance
        self._class_type, self._keeps = "", True
        self._running: Callable[[], Sequence[Graph]] = list

    def watch(self, class_type: str, running: Callable[[], Sequence[Graph]], *, keeps: bool) -> None:
        """Say which nodes these are, how to ask for the graphs that run, and whether ComfyUI `keeps` outputs at all."""
        self._class_type, self._running, self._keeps = class_type, running, keeps

    def watch_instance(self, node: object) -> None:
        """Look at what is still needed when `node`, an instance that ComfyUI made, dies."""
        weakref.finalize(node, self._end, None).atexit = False

    def keep_for(self, node_id: str, keys: Iterable[Hashable]) -> None:
        """Say what a node is about to load; what nobody needs any more is let go before."""
        with self._lock:
            self._expected.pop(node_id, None)
            self._loading[node_id] = frozenset(keys)
        self._died.append(None)
        self._settle()

    def forget(self, node_id: str) -> None:
        """Loading failed: what was loaded well is kept for the next attempt."""
        with self._lock:
            keys = self._loading.pop(node_id, frozenset())
            if self._keeps:
                self._expected[node_id] = keys
        self._died.append(None)
        self._settle()

    def let_go_with(self, output: object, node_id: str) -> None:
        """Loading is done: its parts are needed as long as `output`, and then as long as the node may come again."""
        with self._lock:
            made = _Output(node_id, self._loading.pop(node_id, frozenset()))
            self._outputs.add(made)
        weakref.finalize(output, self._end, made).atexit = False
        self._settle()

    def holds(self, key: Hashable) -> bool:
        """Whether `get_or_load` would find the part."""
        return key in self._parts

    def get_or_load(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The held part of a key, or what `load` returns, held while it is needed. Raises what `load` raises."""
        part = self._parts.get(key)
        if part is None:
            part = load()
            with self._lock:
                self._parts[key] = part
            self._settle()
        return part

    def _end(self, died: _Output | None) -> None:
        """A finalizer: it may run anywhere, also where this thread has the lock, so it waits for nothing."""
        self._died.append(died)
        self._settle()

    def _settle(self) -> None:
        """Draw the conclusions from what has died. Who has the lock meanwhile comes here afterwards."""
        while self._died and self._lock.acquire(blocking=False):
            unneeded: list[Any] = []  # dies after the lock is given back, for that may run finalizers
            try:
                running = self._running()
                while self._died:
                    self._note_death(self._died.popleft(), running)
                unneeded = self._take_unneeded()
            finally:
                self._lock.release()
            del unneeded

    def _note_death(self, died: _Output | None, running: Sequence[Graph]) -> None:
        if died is not None:
            self._outputs.discard(died)
            is_last = all(other.node_id != died.node_id for other in self._outputs)
            if self._keeps and is_last and died.node_id not in self._loading:
                self._expected[died.node_id] = died.keys
        for node_id in list(self._expected):
            if not any(self._has(graph, node_id) for graph in running):
                del self._expected[node_id]

    def _has(self, graph: Graph, node_id: str) -> bool:
        """Whether a graph has the node, or the one that made it while it ran ("7.0.0.1" is of "7")."""
        node, maker = graph.get(node_id), node_id.partition(".")[0]
        is_loader = isinstance(node, Mapping) and node.get("class_type") == self._class_type
        return is_loader or (maker != node_id and maker in graph)

    def _take_unneeded(self) -> list[Any]:
        needed = frozenset().union(
            *(output.keys for output in self._outputs), *self._loading.values(), *self._expected.values()
        )
        return [self._parts.pop(key) for key in list(self._parts) if key not in needed]
