"""What every answer and every refusal must look like."""

import re

from tests.security.stage import Answer

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def is_a_problem(answer: Answer, status: int, code: str | None = None) -> None:
    """RFC 9457 in Chinese, with our stable code and an id that finds the log line."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    body = answer.json
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["type"].endswith("#" + body["code"])
    assert re.search(r"[\u4e00-\u9fff]", body["title"]) and re.search(r"[\u4e00-\u9fff]", body["detail"])
    assert code is None or body["code"] == code


def is_guarded(answer: Answer) -> None:
    """No answer may be sniffed, framed, stored by strangers or tell its address to others."""
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers.get(name) == value, (name, answer.status)
    assert "Cache-Control" in answer.headers
