"""Exceptions that the product caught and logged while a world was played: nobody saw them fail, and each is a finding."""

import sys

import structlog

_heard: list[str] = []


def listen(*, show: bool) -> None:
    """From now on errors are kept; with `show` everything is printed as well."""

    def keep(_: object, method: str, event: dict[str, object]) -> dict[str, object]:
        error = event.get("exc_info")
        # An alarm about a partner's answer is what a fault should cause; an exception is a bug of ours.
        if error and method in ("error", "exception", "critical"):
            error = sys.exc_info()[1] if error is True else error
            cause = f" {error!r}" if isinstance(error, BaseException) else ""
            _heard.append(
                f"logged as an error: {event.get('event')} {event.get('error', '')}{cause} {event.get('call', '')}".strip()
            )
        if not show:
            raise structlog.DropEvent
        return event

    printed = (structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=False)) if show else ()
    level = 20 if show else 40
    structlog.configure(
        processors=[keep, *printed],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


def heard() -> list[str]:
    """What was kept since the last call."""
    found = sorted(set(_heard))
    _heard.clear()
    return found
