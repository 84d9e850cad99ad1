"""Pictures of finished work, drawn: a sky, a ground and what the trade is about. A few kilobytes each."""

from collections.abc import Mapping
from io import BytesIO
from random import Random

from PIL import Image, ImageDraw

SIZES = {400: (240, 180), 1600: (480, 360)}
"""By the name of the size; none is larger than its name says."""
_SKIES = ("#cfe8ff", "#ffe3c9", "#e6f5d8", "#f3defa", "#fff4bf", "#d8f3f0")
_GROUNDS = ("#5b7c65", "#b08968", "#6c757d", "#8d99ae", "#a3623a", "#46627f")
_COLOURS = ("#d1495b", "#2a6f97", "#edae49", "#66a182", "#8d5a97", "#30638e", "#e07a5f", "#3d405b")
_WIDTH, _HEIGHT = SIZES[1600]


def draw(field: int, seed: int) -> Mapping[int, bytes]:
    """A picture for one of the eight fields of work, always the same for the same numbers: a WebP of each size."""
    chance = Random(f"{field} {seed}")
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), chance.choice(_SKIES))
    pen = ImageDraw.Draw(picture)
    horizon = chance.randint(240, 290)
    sun = chance.randint(30, 400)
    pen.ellipse((sun, 20, sun + 50, 70), fill="#fff8e1")
    pen.rectangle((0, horizon, _WIDTH, _HEIGHT), fill=chance.choice(_GROUNDS))
    for place in range(3):
        _MOTIFS[field % len(_MOTIFS)](pen, chance, 10 + place * 155 + chance.randint(0, 15), horizon)
    return {400: _webp(picture.reduce(2)), 1600: _webp(picture)}


def _webp(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "WEBP", quality=60, method=1)
    return out.getvalue()


def _house(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    height = chance.randint(90, 170)
    pen.rectangle((x, y - height, x + 140, y), fill=chance.choice(_COLOURS))
    pen.polygon([(x - 15, y - height), (x + 70, y - height - 60), (x + 155, y - height)], fill=chance.choice(_COLOURS))
    for window in (20, 85):
        pen.rectangle((x + window, y - height + 25, x + window + 35, y - height + 60), fill="#fdfdfd")


def _bottle(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    colour = chance.choice(_COLOURS)
    pen.rounded_rectangle((x + 30, y - 130, x + 110, y), 18, fill=colour)
    pen.rectangle((x + 55, y - 175, x + 85, y - 130), fill="#fdfdfd")
    for _ in range(6):
        at, up = x + chance.randint(0, 130), y - chance.randint(150, 260)
        pen.ellipse((at, up, at + 22, up + 22), outline="#ffffff", width=3)


def _head(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    pen.ellipse((x + 25, y - 160, x + 125, y - 40), fill=chance.choice(("#f1c27d", "#c68642", "#8d5524", "#ffdbac")))
    pen.pieslice((x + 15, y - 180, x + 135, y - 60), 180, 360, fill=chance.choice(("#2b2d42", "#6b4226", "#b5651d")))
    pen.rectangle((x + 45, y - 45, x + 105, y), fill=chance.choice(_COLOURS))


def _car(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    colour = chance.choice(_COLOURS)
    pen.rounded_rectangle((x, y - 75, x + 170, y - 20), 14, fill=colour)
    pen.polygon([(x + 30, y - 75), (x + 55, y - 120), (x + 120, y - 120), (x + 145, y - 75)], fill=colour)
    for wheel in (28, 112):
        pen.ellipse((x + wheel, y - 40, x + wheel + 36, y - 4), fill="#222222")


def _tree(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    pen.rectangle((x + 60, y - 90, x + 80, y), fill="#7f5539")
    for _ in range(5):
        at, up = x + chance.randint(0, 80), y - chance.randint(110, 200)
        pen.ellipse((at, up, at + 70, up + 70), fill=chance.choice(("#386641", "#6a994e", "#a7c957")))


def _book(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    for level in range(chance.randint(3, 6)):
        left = x + chance.randint(0, 25)
        pen.rectangle((left, y - 26 - level * 28, left + 130, y - level * 28), fill=chance.choice(_COLOURS))


def _lights(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    pen.line((x - 20, 60, x + 70, 100, x + 160, 60), fill="#3d405b", width=3)
    for place in range(5):
        pen.ellipse((x - 15 + place * 34, 80, x + 5 + place * 34, 100), fill=chance.choice(_COLOURS))
    pen.ellipse((x + 10, y - 60, x + 150, y), fill=chance.choice(_COLOURS))


def _screen(pen: ImageDraw.ImageDraw, chance: Random, x: int, y: int) -> None:
    pen.rounded_rectangle((x, y - 130, x + 150, y - 30), 8, fill="#222222")
    pen.rectangle((x + 8, y - 122, x + 142, y - 38), fill=chance.choice(_COLOURS))
    pen.rectangle((x + 65, y - 30, x + 85, y), fill="#222222")
    for line in range(4):
        end = x + chance.randint(50, 130)
        pen.line((x + 18, y - 110 + line * 18, end, y - 110 + line * 18), fill="#ffffff", width=4)


_MOTIFS = (_house, _bottle, _head, _car, _tree, _book, _lights, _screen)
