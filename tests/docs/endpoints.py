"""What docs/api.md has to say about each route, read from the table of endpoints."""

from miniprogram_api.endpoints import Endpoint

WHO = {
    frozenset(): "公开",
    frozenset({"citizen"}): "群众",
    frozenset({"courier"}): "快递员",
    frozenset({"agent"}): "代办员",
    frozenset({"citizen", "courier"}): "群众、快递员",
    frozenset({"citizen", "courier", "agent"}): "登录者",
}
HEAD = ("| call | what | who | key | etag | limit | body |", "|---|---|---|---|---|---|---|")


def cells(row: Endpoint) -> list[str]:
    size = f"{row.max_body // 1024} kB" if row.method in ("POST", "PUT", "PATCH") else ""
    return [
        f"`{row.method} {row.route}`", row.summary, WHO[row.roles], "key" if row.idempotent else "",
        "etag" if row.etag else "", row.limit or "", size,
    ]  # fmt: skip
