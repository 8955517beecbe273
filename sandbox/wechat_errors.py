"""WeChat's way of saying no: errcode, errmsg and a rid for its support."""

import secrets

TEXTS = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40037: "invalid template_id",
    40125: "invalid appsecret",
    40163: "code been used",
    40226: "code blocked",
    40243: "appsecret is frozen",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41030: "invalid page",
    42001: "access_token expired",
    43101: "user refuse to accept the msg",
    43301: "require GET method",
    43302: "require POST method",
    44002: "empty post data",
    45009: "reach max api daily quota limit, please use stable access_token",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    47003: "argument invalid!",
    48001: "api unauthorized",
    87009: "invalid signature",
}


class WeChatError(Exception):
    """A refusal; `detail` is appended to the text of the code."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def body_of(code: int, detail: str = "") -> dict[str, object]:
    """`{"errcode": …, "errmsg": "… rid: xxxxxxxx-xxxxxxxx-xxxxxxxx"}`; success has no rid."""
    if code == 0:
        return {"errcode": 0, "errmsg": "ok"}
    rid = "-".join(secrets.token_hex(4) for _ in range(3))
    text = " ".join(part for part in (TEXTS.get(code, "error"), detail) if part)
    return {"errcode": code, "errmsg": f"{text} rid: {rid}"}
