"""Which legal steps lead from one state to another when a later fact proves the earlier ones.

Pure, no row is touched here.

Facts of the platform may skip steps ("a RESULT right after ACCEPTED" implies the start of processing) or come in
another order. Every step that was skipped is taken and written as an event, so the history of a case never has a hole
and never an illegal edge.
"""

from backend.cases.states import END_STATES, Action, CaseState

S, A = CaseState, Action

# The trunk of a case; corrections and pauses are branches from it.
TRUNK = (S.SUBMITTED, S.ACCEPTED, S.PROCESSING)
_CLIMB = {S.SUBMITTED: A.ACCEPT, S.ACCEPTED: A.START}
_ENTER: dict[CaseState, tuple[Action, ...]] = {
    S.SUBMITTED: (),
    S.ACCEPTED: (),
    S.PROCESSING: (),
    S.CORRECTING: (A.ASK_CORRECTION,),
    S.SPECIAL: (A.OPEN_SPECIAL,),
    S.SUSPENDED: (A.SUSPEND,),
    S.NOT_ACCEPTED: (A.DECLINE,),
    S.GRANTED: (A.GRANT,),
    S.REFUSED: (A.REFUSE,),
    # 退件 is only reached through a correction that never came: an office that returns proves that it had asked.
    S.RETURNED: (A.ASK_CORRECTION, A.EXPIRE),
}
_FROM_DEFERRED = {S.GRANTED: (A.PAPERS_COMPLETE,), S.RETURNED: (A.PROMISE_EXPIRED,)}


def moves(current: CaseState, target: CaseState, *, base: CaseState) -> tuple[Action, ...]:
    """The actions from `current` to `target`; empty when there is nothing to do or no legal way.

    `base` is how far the case is known to have come on the trunk: SUBMITTED, ACCEPTED or PROCESSING.
    """
    if current == target:
        return ()
    if target is S.VOID:
        return (A.VOID,)
    if current in END_STATES or target not in _ENTER:
        return ()
    if current is S.DEFERRED:
        return _FROM_DEFERRED.get(target, ())
    if current is S.CORRECTING and target is S.RETURNED:
        return (A.EXPIRE,)
    left, here = _leave(current, base)
    if here not in TRUNK:
        return ()
    climbed = _climb(here, _doorstep(target, base))
    return () if climbed is None else (*left, *climbed, *_ENTER[target])


def _leave(current: CaseState, base: CaseState) -> tuple[tuple[Action, ...], CaseState]:
    """Back from a branch to the trunk."""
    if current is S.CORRECTING:
        return ((A.SUPPLY_ACCEPTED,), S.PROCESSING) if base is S.PROCESSING else ((A.SUPPLY,), S.SUBMITTED)
    if current is S.SPECIAL:
        return (A.CLOSE_SPECIAL,), S.PROCESSING
    if current is S.SUSPENDED:
        return (A.RESUME,), S.PROCESSING
    return (), current


def _doorstep(target: CaseState, base: CaseState) -> CaseState:
    """The place on the trunk from which `target` is entered."""
    if target in TRUNK:
        return target
    if target is S.NOT_ACCEPTED:
        return S.SUBMITTED
    if target in (S.CORRECTING, S.RETURNED) and base is S.SUBMITTED:
        return S.SUBMITTED
    return S.PROCESSING


def _climb(here: CaseState, goal: CaseState) -> tuple[Action, ...] | None:
    start, end = TRUNK.index(here), TRUNK.index(goal)
    return None if start > end else tuple(_CLIMB[state] for state in TRUNK[start:end])
