"""State machines as plain tables: who may do what from where, and the words people see. Storing the state is the slice's own business."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kernel.problems import Conflict

EVERYONE: frozenset[str] = frozenset({"*"})


class IllegalTransition(Conflict):
    """The table has no such edge from the present state."""

    code = "wrong-state"


class NotYourMove(Conflict):
    """The edge exists but belongs to somebody else."""

    status, code, title = 403, "not-your-move", "这一步不能由您来做"


@dataclass(frozen=True)
class Edge:
    """From `source`, `action` leads to `target`; `by` names the roles that may do it."""

    source: StrEnum
    action: StrEnum
    target: StrEnum
    by: frozenset[str] = EVERYONE


@dataclass(frozen=True)
class Label:
    """What the outside sees of a state: the stable public word, the Chinese label, and whether it is an end."""

    status: str
    label: str
    finished: bool


class Machine:
    """A closed table. Building it checks that it is deterministic and that every state has a label."""

    def __init__(self, name: str, *, edges: Iterable[Edge], labels: Mapping[StrEnum, Label]) -> None:
        self.name = name
        self.edges = tuple(edges)
        self.labels = dict(labels)
        self._labels = {str(state): label for state, label in labels.items()}
        self._table: dict[tuple[str, str], Edge] = {}
        for edge in self.edges:
            key = (str(edge.source), str(edge.action))
            if key in self._table:
                raise ValueError(f"{name}: two edges for {key}")
            self._table[key] = edge
        missing = {str(s) for e in self.edges for s in (e.source, e.target)} - {str(s) for s in self.labels}
        if missing:
            raise ValueError(f"{name}: no label for {sorted(missing)}")

    def allows(self, state: str, action: str, *, by: str) -> bool:
        """Whether `by` may do `action` in `state`."""
        edge = self._table.get((str(state), str(action)))
        return edge is not None and _may(edge, by)

    def step(self, state: str, action: str, *, by: str) -> StrEnum:
        """The state after the action. Raises IllegalTransition (409) or NotYourMove (403)."""
        edge = self._table.get((str(state), str(action)))
        if edge is None:
            raise IllegalTransition(f"当前为“{self.label(state).label}”，不能进行这项操作")
        if not _may(edge, by):
            raise NotYourMove
        return edge.target

    def label(self, state: str) -> Label:
        """The public word and the Chinese label of a state."""
        return self._labels[str(state)]

    def actions(self, state: str, *, by: str) -> tuple[str, ...]:
        """What `by` may do now."""
        return tuple(str(e.action) for e in self.edges if str(e.source) == str(state) and _may(e, by))


def _may(edge: Edge, by: str) -> bool:
    return edge.by is EVERYONE or by in edge.by
