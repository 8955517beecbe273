"""Templates of the profile: text with `{names}` that are replaced by facts, and nothing else. Pure."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"\{([a-z_]+)\}")


def names(template: str) -> set[str]:
    """The facts a template needs; a stray brace counts as a name nobody has."""
    rest = _NAME.sub("", template)
    return set(_NAME.findall(template)) | ({"{}"} if "{" in rest or "}" in rest else set())


def fill(template: str, facts: Mapping[str, str]) -> str:
    """The text. Raises KeyError for a fact that was not given: profiles are checked, so that is a bug."""
    return _NAME.sub(lambda match: facts[match[1]], template)
