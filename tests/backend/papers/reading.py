"""Reads a PDF with an engine that is not ours: its text, its fonts, its picture and the QR code on that picture."""

import pypdfium2
import zxingcpp
from PIL import Image


def text_of(pdf: bytes) -> str:
    """The text in reading order, blanks and line breaks folded."""
    document = pypdfium2.PdfDocument(pdf)
    return " ".join("".join(page.get_textpage().get_text_bounded() for page in document).split())


def pages_of(pdf: bytes) -> int:
    return len(pypdfium2.PdfDocument(pdf))


def picture_of(pdf: bytes, *, dots_per_inch: int = 150) -> Image.Image:
    return pypdfium2.PdfDocument(pdf)[0].render(scale=dots_per_inch / 72).to_pil().convert("L")


def qr_codes(pdf: bytes) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(picture_of(pdf, dots_per_inch=300))]
