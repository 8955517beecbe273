"""Two people: where money moves or a day is closed, whoever asked is never who agrees."""

import unicodedata

from kernel.problems import Conflict


class SamePerson(Conflict):
    """Two people are needed, and this is the same one."""

    status, code, title = 403, "same-person", "须由另一人复核"


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, however they were typed; nobody is nobody's second person."""
    return not _plain(other) or _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()
