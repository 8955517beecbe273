"""Phone photos for the demo: megapixels, turned by EXIF, with a GPS position in the metadata, so that checking them is real work."""

import io
import random

from PIL import Image, ImageDraw, ImageFilter

_TURNED_RIGHT = 6
_ORIENTATION, _MAKER, _GPS = 0x0112, 0x010F, 0x8825


def portrait(*, sharp: bool) -> bytes:
    """A head and shoulders on a light ground, 3000 × 2250 before turning."""
    image = _ground((2250, 3000), (236, 238, 240), seed=2 if sharp else 1)
    draw = ImageDraw.Draw(image)
    draw.ellipse((675, 600, 1575, 1800), fill=(226, 190, 165))
    draw.pieslice((660, 540, 1590, 1500), 180, 360, fill=(120, 120, 125))
    draw.polygon([(375, 3000), (600, 2100), (1650, 2100), (1875, 3000)], fill=(60, 80, 120))
    for x in (950, 1300):
        draw.ellipse((x - 45, 1180, x + 45, 1250), fill=(50, 40, 40))
    draw.arc((950, 1380, 1300, 1560), 20, 160, fill=(150, 80, 80), width=16)
    return _as_phone_photo(image if sharp else image.filter(ImageFilter.GaussianBlur(14)))


def identity_card() -> bytes:
    """The shape of a card with no readable data of anybody."""
    image = _ground((2250, 3000), (90, 70, 60), seed=3)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((150, 900, 2100, 2130), 60, fill=(225, 235, 245), outline=(120, 140, 170), width=10)
    draw.rectangle((1450, 1100, 1950, 1750), fill=(180, 190, 200))
    for row in range(6):
        draw.rectangle((280, 1120 + row * 140, 1250 - row * 60, 1180 + row * 140), fill=(80, 90, 110))
    return _as_phone_photo(image)


def _ground(size: tuple[int, int], colour: tuple[int, int, int], *, seed: int) -> Image.Image:
    """A surface with the grain of a real sensor, so that the file has a real size."""
    half = (size[0] // 2, size[1] // 2)
    noise = random.Random(seed).randbytes(half[0] * half[1])  # noqa: S311 - grain, not a secret
    grain = Image.frombytes("L", half, noise)
    plain = Image.new("RGB", size, colour)
    return Image.blend(plain, grain.resize(size).convert("RGB"), 0.06)


def _as_phone_photo(image: Image.Image) -> bytes:
    """Stored lying on its side with the orientation in the metadata, as phones do."""
    exif = Image.Exif()
    exif[_ORIENTATION], exif[_MAKER] = _TURNED_RIGHT, "DemoPhone"
    exif.get_ifd(_GPS).update({1: "N", 2: (40.0, 17.0, 30.0), 3: "E", 4: (97.0, 2.0, 40.0)})
    buffer = io.BytesIO()
    image.rotate(90, expand=True).save(buffer, "JPEG", quality=88, exif=exif)
    return buffer.getvalue()
