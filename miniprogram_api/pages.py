"""Types that every list and every small answer share: paging parameters and the shapes that carry nothing but a fact."""

from typing import Annotated

import msgspec
from msgspec import Meta

Cursor = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_=.-]+$", description="请使用上一页返回的 next_cursor")
]
# Most lists go on after the public number of the last row: never longer than the column it is looked up in.
NumberCursor = Annotated[
    str, Meta(min_length=1, max_length=26, pattern=r"^[A-Za-z0-9_-]+$", description="请使用上一页返回的 next_cursor")
]
Limit = Annotated[int, Meta(ge=1, le=100, description="每页 1 到 100 条")]


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where in a list, and how many."""

    cursor: NumberCursor | None = None
    limit: Limit = 20


class Done(msgspec.Struct, frozen=True):
    """It has been done."""

    done: bool = True
