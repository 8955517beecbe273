"""XML as these platforms write it: a strict reader without document types, and a writer for nested fields. Knows no message."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_WRITTEN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What XML 1.0 cannot carry at all, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# GB 18030 reads everything GBK can say and the rare characters of names that GBK lacks.
_READ_AS = {"gbk": "gb18030", "gb2312": "gb18030"}
Tree = dict[str, Any]


class XmlError(Exception):
    """The text is no XML we accept."""


def decoded(raw: bytes, charset: str) -> str:
    """The text of received bytes. Raises XmlError."""
    try:
        return raw.decode(_READ_AS.get(charset.lower(), charset))
    except UnicodeDecodeError:
        raise XmlError("not in the agreed character set") from None


def encoded(text: str, charset: str) -> bytes:
    """Bytes in the agreed character set; what it lacks becomes a numeric reference, which every XML reader understands."""
    return text.encode(charset, errors="xmlcharrefreplace")


def parse(text: str, root: str) -> Tree:
    """The content below the root element. Raises XmlError; a document type is refused, so no entity can be defined."""
    if "<!" in text:
        raise XmlError("declarations are not accepted")
    try:
        found = xmltodict.parse(_DECLARATION.sub("", text), disable_entities=True)
    except (ExpatError, ValueError):
        raise XmlError("not well-formed") from None
    content = found.get(root)
    if content is None and root in found:
        return {}
    if not isinstance(content, dict):
        raise XmlError("another root")
    return content


def at(tree: Any, path: str) -> str:
    """The text at a path such as `A/B/C`; "" when there is none or when it is not a plain text."""
    found = _node(tree, path)
    if isinstance(found, dict):
        found = found.get("#text")
    return found if isinstance(found, str) else ""


def groups(tree: Tree, path: str) -> list[Tree]:
    """The repeated elements at a path, in their order."""
    found = _node(tree, path)
    several = found if isinstance(found, list) else [found]
    return [one for one in several if isinstance(one, dict)]


def _node(tree: Any, path: str) -> Any:
    for name in path.split("/"):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def written(fields: Mapping[str, str]) -> str:
    """Flat elements in their order."""
    return "".join(f"<{name}>{escaped(value)}</{name}>" for name, value in fields.items())


def nested(root: str, fields: Iterable[tuple[str, str | Mapping[str, str]]]) -> str:
    """Elements nested by their paths; `A/PARAM@X` is `<PARAM NAME="X">`, and a mapping is a group of flat elements."""
    tree: dict[str, Any] = {}
    for path, value in fields:
        *parents, last = path.split("/")
        place = tree
        for name in parents:
            place = place.setdefault(name, {})
        place.setdefault(last, []).append(value)
    return f"<{root}>{_inner(tree)}</{root}>"


def escaped(value: str) -> str:
    """A value fit to stand between two tags."""
    return _FORBIDDEN.sub("", value).translate(_WRITTEN)


def _inner(tree: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in tree.items())


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    tag, _, attribute = name.partition("@")
    opening = f'{tag} NAME="{attribute}"' if attribute else tag
    content = _inner(value) if isinstance(value, dict) else escaped(value)
    return f"<{opening}>{content}</{tag}>"
