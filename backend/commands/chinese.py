"""The command line's own sentences in Chinese: usage, headings, and what was wrong with the words that were typed."""

import argparse
import re
from typing import Any, NoReturn

_SENTENCES = (
    (r"the following arguments are required: (.+)", r"还缺少：\1"),
    (r"unrecognized arguments: (.+)", r"不认识：\1"),
    (r"invalid choice: (.+) \(choose from (.+)\)", r"没有 \1，可以写 \2"),
    (r"invalid \S+ value: (.+)", r"\1 写得不对"),
    (r"expected one argument", "后面要写一个值"),
    (r"expected at least one argument", "后面至少要写一个值"),
    (r"ignored explicit argument (.+)", r"不带值，不认识 \1"),
    (r"ambiguous option: (.+) could match (.+)", r"\1 不明确，可能是 \2"),
    (r"not allowed with argument (.+)", r"不能与 \1 同时使用"),
    (r"one of the arguments (.+) is required", r"要写其中一个：\1"),
    (r"^argument ([^:]+): ", r"\1："),
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose every word to a person is Chinese; its sub-parsers are of the same kind."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "add_help": False})
        self._positionals.title, self._optionals.title = "参数", "选项"
        self.add_argument("-h", "--help", action="help", help="显示这份说明")

    def format_usage(self) -> str:
        """One line."""
        return _usage(super().format_usage())

    def format_help(self) -> str:
        """The whole help."""
        return _usage(super().format_help())

    def error(self, message: str) -> NoReturn:
        """What was wrong and how it is written, exit code 2."""
        for said, ours in _SENTENCES:
            message = re.sub(said, ours, message)
        self.exit(2, f"{self.format_usage()}{message}\n查看说明：{self.prog} --help\n")


def _usage(text: str) -> str:
    return text.replace("usage: ", "用法：", 1)
