"""`python -m tests.docs`: writes what the pages take from the code: endpoint tables, settings, docs/openapi.json. Words written by hand stay."""

import re
import sys

from kernel import config
from miniprogram_api import operations
from miniprogram_api.app import load_endpoints
from tests.docs import configuration
from tests.docs.endpoints import HEAD, cells
from tests.docs.pages import ROOT, page, rows


def main() -> int:
    (ROOT / "docs" / "api.md").write_text(_api(), encoding="utf-8")
    (ROOT / "docs" / "configuration.md").write_text(_configuration(), encoding="utf-8")
    (ROOT / "docs" / "openapi.json").write_bytes(operations.description() + b"\n")
    return 0


def _api() -> str:
    listed = load_endpoints()
    tags = dict.fromkeys(row.tag for row in listed)
    words = page("api.md").partition(f"\n## {next(iter(tags))}\n")[0].rstrip()
    tables = ["\n".join([f"## {tag}\n", *HEAD, *(_line(cells(r)) for r in listed if r.tag == tag)]) for tag in tags]
    return "\n\n".join([words, *tables]) + "\n"


def _configuration() -> str:
    """A new setting gets its default as the example; a person finds a better one."""
    text = page("configuration.md")
    examples = {row[0]: row[5] for row in rows(text) if len(row) == 6}
    for kind in configuration.ALL_SETTINGS:
        known = [configuration.cells(field, rule) for field, rule in config.rules(kind)]
        table = [_line([*row, _example(row, examples)]) for row in known]
        section = re.compile(
            rf"(^## [^\n]*{re.escape(configuration.heading(kind))}\n\n(?:\|[^\n]*\n){{2}})(?:\|[^\n]*\n)*", re.M
        )
        if not section.search(text):
            text += f"\n## {kind.__name__} {configuration.heading(kind)}\n\n| 名称 | 含义 | 默认 | 保密 | 允许值 | 例子 |\n|---|---|---|---|---|---|\n"
        text = section.sub(lambda found, table=table: found[1] + "".join(line + "\n" for line in table), text)
    return text


def _example(row: list[str], examples: dict[str, str]) -> str:
    name = row[0].strip("`")
    if row[3] == "是":
        return f"`{name}_FILE=/etc/zhangshangban/secrets/{name.lower()}`"
    return examples.get(row[0], f"`{name}={row[2].strip('`')}`")


def _line(row: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    sys.exit(main())
