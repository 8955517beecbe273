"""Daily reconciliation: our books against the channels' statements and the money that arrived. Outsiders use these names only."""

from payments.reconciliation.exporting import export
from payments.reconciliation.reports import (
    CHANNELS,
    DayReport,
    DifferenceView,
    RunView,
    Standing,
    day_report,
    days,
    difference,
    differences_of,
    standing,
    unfinished,
)
from payments.reconciliation.resolving import approve, assign, resolve, sign
from payments.reconciliation.rounds import reconcile, run_due
from payments.reconciliation.runs import DayBusy

__all__ = [
    "CHANNELS",
    "DayBusy",
    "DayReport",
    "DifferenceView",
    "RunView",
    "Standing",
    "approve",
    "assign",
    "day_report",
    "days",
    "difference",
    "differences_of",
    "export",
    "reconcile",
    "resolve",
    "run_due",
    "sign",
    "standing",
    "unfinished",
]
