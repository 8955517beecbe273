"""Structured logs as JSON lines: request and case ids bound to the unit of work, personal data masked as a second wall."""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

_ROOT = str(Path(__file__).resolve().parent.parent)
# Anything shaped like an ID number, a mobile number or a long secret. The first wall is never to log values at all.
_ID_NUMBER = re.compile(r"(?<![0-9A-Za-z])[1-9]\d{5}(?:19|20)\d{9}[0-9Xx](?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
_SECRET = re.compile(r"(?<![A-Za-z0-9_\-])[A-Za-z0-9_\-]{40,}(?![A-Za-z0-9_\-])")


def masked(text: str) -> str:
    """The text without anything that looks like personal data or a secret."""
    text = _ID_NUMBER.sub("<id>", text)
    text = _MOBILE.sub("<phone>", text)
    return _SECRET.sub("<secret>", text)


def _mask_values(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = masked(value)
    return event


def configure(*, level: str = "info", stream: Any = None) -> None:
    """Sets up structlog and routes the standard library's loggers through the same renderer."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        _mask_values,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def start_unit(**ids: str) -> None:
    """Begins a unit of work (a request, an outbox row): clears what an earlier one bound to this context and binds `ids`."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**ids)


def where(error: BaseException) -> dict[str, str]:
    """Where an error came from: our own frames only, without any value."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(f.filename).relative_to(_ROOT)}:{f.lineno}" for f in frames if f.filename.startswith(_ROOT) and ".venv" not in f.filename]
    return {"where": " > ".join(ours[-6:])}
