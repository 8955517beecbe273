"""The subscribe-message templates that the demo mini-program has been granted at WeChat."""

from sandbox.store import Doc


def _template(name: str, title: str, keys: list[str], *, long_term: bool = False) -> Doc:
    # Real ids have 43 characters of this alphabet; a readable beginning helps whoever reads the log.
    return {"template_id": f"sandbox-{name}-".ljust(43, "0"), "title": title, "keys": keys, "long_term": long_term}


DEMO_TEMPLATES: tuple[Doc, ...] = (
    _template("progress", "办理进度提醒", ["character_string1", "thing2", "phrase3", "time4", "thing5"]),
    _template("correction", "材料补正通知", ["character_string1", "thing2", "thing3", "date4"]),
    _template("payment", "待缴费提醒", ["character_string1", "thing2", "amount3", "thing4"]),
    _template("result", "办理结果通知", ["character_string1", "thing2", "phrase3", "time4", "thing5"]),
    _template("refund", "退款提醒", ["character_string1", "thing2", "amount3", "thing4"]),
    _template("delivery", "快递派送提醒", ["character_string1", "thing2", "phrase3", "time4", "thing5"]),
)
