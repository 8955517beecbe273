"""What our font can print, and what happens to everything else."""

from hypothesis import given
from hypothesis import strategies as st

from backend.papers import glyphs


def gb2312() -> str:
    return "".join(
        bytes((row, cell)).decode("gb2312") for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF)
        if not (row == 0xD7 and cell >= 0xFA)
    )  # fmt: skip


def test_every_character_of_gb2312_is_there():
    assert len(gb2312()) == 6763
    assert [c for c in gb2312() if ord(c) not in glyphs.covered()] == []


def test_what_papers_need_beside_it():
    for character in " 0123456789ABCXYZabcxyz¥*-:/.,，。（）：、〔〕《》“”零壹贰叁肆伍陆柒捌玖拾佰仟万亿元角分整〓":
        assert ord(character) in glyphs.covered(), character


def test_what_the_font_lacks_is_seen_as_lacking():
    assert glyphs.printable("𪚥*") == "〓*"
    assert glyphs.printable("a\tb\nc\x00d") == "a b c d"
    assert glyphs.printable({"name": ["𪚥", 1, None], "ok": True}) == {"name": ["〓", 1, None], "ok": True}


@given(st.text(max_size=50))
def test_any_text_becomes_printable_and_keeps_its_length(text):
    shown = glyphs.printable(text)
    assert len(shown) == len(text)
    assert all(ord(c) in glyphs.covered() for c in shown)
