"""Structured logs: one JSON object per line, allowed fields only, and a second wall that blanks what looks personal."""

import asyncio
import logging
import re
import sys
import traceback
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog

from kernel import clock
from kernel.config import setting

# What a line may carry. A field that is not listed is dropped and only its name is reported.
_FIELDS = {
    "event", "level", "logger", "time", "process", "request_id", "case_no", "bill_no", "payment_no",
    "delivery_no", "message_no", "topic", "key", "lane", "job", "slot", "attempts", "crashes", "inbox_id",
    "partner", "call", "outcome", "detail", "status", "code", "errcode", "rid", "route", "method",
    "duration_ms", "seconds", "count", "error", "where", "dropped", "person", "template", "channel", "reason",
    "name", "state", "field", "kind", "engine", "version", "port", "ref", "verb", "project_no", "seq", "type", "carrier",
    "refund_no", "effect", "event_type", "class_name", "proof", "serial", "serials", "number", "result", "day", "bytes",
    "first", "before", "waiting", "fresh", "new", "cause",
}  # fmt: skip
_MARK = "***"
_SHAPES = re.compile(
    r"(?<!\d)\d{17}[\dXx](?!\d)"  # identity number
    r"|(?<!\d)1[3-9]\d{9}(?!\d)"  # mobile number
    r"|(?<![\w-])o(?=[\w-]*[A-Z])[A-Za-z0-9_-]{27}(?![\w-])"  # openid
    r"|(?=[A-Za-z_+/-]*\d)(?:[A-Za-z0-9_-]{40,}|[A-Za-z0-9+/]{40,}={0,2})"  # tokens, keys, sealed texts
    r"|(?i:(?:access_token|secret|session_key|js_code|openid|token|password)(?:=|\":\s*\"?))[^&\s\"']+"
)
_DEPTH = 6
# Brief lines wait this long for company, so that a busy process writes once for many; what else is logged goes at once.
_TOGETHER_SECONDS = 0.2
_TOGETHER_LINES = 256


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """How much is logged."""

    level: str = setting("LOG_LEVEL", help="日志级别", default="info", choices=("debug", "info", "warning", "error"))


def configure(settings: LogSettings, *, process: str, fields: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Sends structlog and the standard library's logging through the same walls. `fields` are further allowed names."""
    _FIELDS.update(fields)
    level = getattr(logging, settings.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        _ProcessName(process),
        _stamp,
    ]
    walls: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        exception_place,
        allowed_fields,
        redact,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=lambda value: type(value).__name__),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    global _brief
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=walls))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _brief = _Brief(handler, process) if level <= logging.INFO else None
    for noisy in ("aiohttp.access", "sanic.access", "tortoise", "tortoise.db_client", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


def begin_unit(**values: str | int | None) -> None:
    """Starts a request or an outbox row with a clean context: Sanic keeps variables over a connection's life."""
    structlog.contextvars.clear_contextvars()
    bind(**values)


def bind(**values: str | int | None) -> None:
    """Adds to every further line of this unit of work, for example request_id or case_no."""
    structlog.contextvars.bind_contextvars(**{name: value for name, value in values.items() if value is not None})


class BriefLine:
    """An info line that every request writes: of its kind only the request's id, its duration and the time differ.

    It skips the two walls, so the constants are names of ours from the list of known fields, and the id was cleaned before.
    """

    def __init__(self, event: str, *, logger: str, **constants: str | int) -> None:
        known = {**constants, "event": event, "logger": logger, "level": "info"}
        self._constants = orjson.dumps(known).decode().removesuffix("}")

    def write(self, *, request_id: str, seconds: float) -> None:
        """Writes the line, or keeps it for a moment until others have gathered."""
        if _brief is not None:
            _brief.write(f'{self._constants},"request_id":"{request_id}","duration_ms":{seconds * 1000:.1f}')


def clean(text: str) -> str:
    """The text with everything shaped like an identity number, a mobile number or a secret blanked."""
    return _SHAPES.sub(_MARK, text)


def allowed_fields(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """First wall: only known fields pass."""
    unknown = sorted(name for name in event if name not in _FIELDS)
    for name in unknown:
        del event[name]
    if unknown:
        event["dropped"] = unknown
    return event


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Second wall: what looks personal is blanked wherever it stands."""
    return {name: _clean_value(value) for name, value in event.items()}


def exception_place(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception becomes its type and the places it passed: its text may repeat somebody's data."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if not info:
        return event
    error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else sys.exc_info()[1])
    if error is not None:
        chain = [error]
        while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < _DEPTH:
            chain.append(cause)
        event["error"] = " < ".join(type(e).__qualname__ for e in chain)
        event["where"] = [
            f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return event


class _Lines(logging.StreamHandler[TextIO]):
    """A stream whose brief lines wait for each other; an ordinary line first lets out what came before it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []

    def add(self, line: str) -> None:
        """Keeps a line until others have gathered, a moment has passed, or anything else is logged."""
        self._waiting.append(line)
        if len(self._waiting) >= _TOGETHER_LINES:
            self.flush()
        elif len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(_TOGETHER_SECONDS, self.flush)
            except RuntimeError:  # no loop, nobody who would come back later
                self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """An ordinary line, after those that were waiting."""
        self._pour()
        super().emit(record)

    def flush(self) -> None:
        """Writes what waits; also called at the end of the process."""
        self._pour()
        super().flush()

    def _pour(self) -> None:
        if self._waiting:
            lines, self._waiting = self._waiting, []
            self.stream.write("".join(lines))


class _Brief:
    """Ends a brief line with the process and the time, whose text changes but once a second."""

    def __init__(self, handler: _Lines, process: str) -> None:
        self._handler, self._process = handler, process
        self._second, self._until_second = -1, ""

    def write(self, line: str) -> None:
        second, thousandth = divmod(clock.now_ms(), 1000)
        if second != self._second:
            now = clock.local(datetime.fromtimestamp(second, UTC))
            self._second, self._until_second = second, f'"process":"{self._process}","time":"{now:%Y-%m-%dT%H:%M:%S}'
        self._handler.add(f'{line},{self._until_second}.{thousandth:03d}+08:00"}}\n')


_brief: _Brief | None = None


class _ProcessName:
    """Stamps each line with which kind of process wrote it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = self._name
        return event


def _stamp(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["time"] = clock.local(clock.now()).isoformat(timespec="milliseconds")
    return event


def _clean_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return value if clean(str(value)) == str(value) else _MARK
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_value(item) for item in value]
    if isinstance(value, dict):
        return {clean(str(name)): _clean_value(item) for name, item in value.items()}
    return type(value).__name__
