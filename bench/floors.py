"""The floor: Sanic answering the same bytes, headers included, from memory: no login, no database. `python -m bench.floors PORT ANSWERS`."""

import json
import sys
from pathlib import Path
from typing import Any

from sanic import HTTPResponse, Request, Sanic

ROUTES = {
    "status": ("GET", "/api/v1/cases/<case_no:str>/status"),
    "overview": ("GET", "/api/v1/cases/<case_no:str>"),
    "list": ("GET", "/api/v1/cases"),
    "guide": ("GET", "/api/v1/items/<item_code:str>"),
    "items": ("GET", "/api/v1/items"),
    "submit": ("POST", "/api/v1/cases/<case_no:str>/submission"),
    "notice": ("POST", "/api/v1/callbacks/wechat-pay"),
}


def create(answers: dict[str, dict[str, Any]]) -> Sanic:
    """An application that knows nothing but these answers."""
    app = Sanic("floor", configure_logging=False)
    app.config.update(AUTO_EXTEND=False, ACCESS_LOG=False, MOTD=False, KEEP_ALIVE_TIMEOUT=75)
    for name, answer in ((name, answer) for name, answer in answers.items() if name in ROUTES):
        method, path = ROUTES[name]

        def answering(body: bytes, headers: dict[str, str], status: int):
            async def handler(request: Request, **_: str) -> HTTPResponse:
                return HTTPResponse(body, status, headers=headers, content_type="application/json; charset=utf-8")

            return handler

        app.add_route(
            answering(answer["body"].encode(), answer["headers"], answer.get("status", 200)),
            path,
            methods=[method],
            name=name,
        )
    return app


def main() -> None:
    """Serves until it is told to stop."""
    port, answers = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    Sanic.start_method = "fork"
    create(answers).run(host="127.0.0.1", port=port, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    main()
