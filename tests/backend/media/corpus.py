"""Pictures, and what only pretends to be one: RELIABILITY.md I5 (exhausting the server) and I6 (running as script)."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image, PngImagePlugin

CANARY = b"callout_canary_9f2e"
SCRIPT = b"<script>alert('" + CANARY + b"')</script>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
HTML = b"<!doctype html><html><body>" + SCRIPT + b"</body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(\'' + CANARY + b"')\"/>"
JAVASCRIPT = b"/*" + CANARY + b"*/=1;alert(1)"


def picture(form: str = "PNG", *, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    """Left half red, right half blue where the mode has colours."""
    image = Image.new(mode, size, "red" if mode.startswith("RGB") else 0)
    if mode.startswith("RGB"):
        image.paste((0, 0, 255, 255)[: len(mode)], (size[0] // 2, 0, size[0], size[1]))
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *, depth: int = 1, colour: int = 0, rows: int | None = None, extra: bytes = b""
) -> bytes:
    """A PNG by hand, all zero: a header may claim what the data do not hold."""
    row = b"\0" * (1 + (width * depth * (1, 1, 3, 1, 2, 1, 4)[colour] + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """An iTXt chunk of a few kilobytes that unpacks to 64 MB."""
    packed = zlib.compress(b"\0" * 64 * 1024 * 1024, 9)
    return png(8, 8, extra=chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed))


def gif_of_many_frames(count: int) -> bytes:
    """The first frame and `count - 1` repetitions of one pixel each."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + b"\xff\0\0\0\0\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * count + b"\x3b"


def exif(orientation: int = 1, *, note: bytes = b"") -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    if note:
        tags[0x010E] = note.decode()
        tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def jpeg_with_comment() -> bytes:
    plain = picture("JPEG")
    return plain[:2] + b"\xff\xfe" + struct.pack(">H", len(HTML) + 2) + HTML + plain[2:]


def with_zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.html", HTML)
    return packed.getvalue()


def png_with_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SCRIPT.decode())
    info.add_itxt("XML:com.adobe.xmp", HTML.decode())
    return picture("PNG", pnginfo=info)


EXHAUSTING: dict[str, Callable[[], bytes]] = {
    "9000 square, one bit a pixel": lambda: png(9000, 9000),
    "13000 square, one bit a pixel": lambda: png(13000, 13000),
    "20000 square": lambda: png(20000, 20000),
    "65535 square in the header alone": lambda: png(65535, 65535, rows=1),
    "the largest header there is": lambda: png(2**31 - 1, 2**31 - 1, rows=0),
    "a text that unpacks to 64 MB": text_bomb,
    "truncated PNG": lambda: png(900, 900, depth=8, colour=2)[:-40],
    "truncated JPEG": lambda: picture("JPEG", size=(900, 900))[:600],
    "truncated WebP": lambda: picture("WEBP", size=(900, 900))[:60],
    "an EXIF block that points into nowhere": lambda: picture("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")[:300],
    "a GIF of 40000 square": lambda: b"GIF89a" + struct.pack("<HHBBB", 40000, 40000, 0x80, 0, 0) + b"\0" * 6 + b"\x2c"
    + struct.pack("<HHHHB", 0, 0, 40000, 40000, 0) + b"\x02\x02\x44\x01\x00\x3b",
}  # fmt: skip

POLYGLOTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "GIF and JavaScript": ("a.gif", lambda: picture("GIF", mode="P") + JAVASCRIPT),
    "GIF whose header is JavaScript": ("a.js", lambda: b"GIF89a" + JAVASCRIPT),
    "JPEG with a page in its comment": ("a.jpg", jpeg_with_comment),
    "JPEG with a page behind it": ("a.jpg", lambda: picture("JPEG") + HTML),
    "JPEG with a script in its EXIF": ("a.jpg", lambda: picture("JPEG", exif=exif(note=SCRIPT))),
    "JPEG with a script as colour profile": ("a.jpg", lambda: picture("JPEG", icc_profile=SCRIPT * 9)),
    "JPEG called .php": ("a.jpg.php", lambda: picture("JPEG") + b"<?php " + CANARY + b" ?>"),
    "JPEG called .html": ("a.html", lambda: picture("JPEG") + SCRIPT),
    "JPEG with NUL in its name": ("a.php\0.jpg", lambda: picture("JPEG") + CANARY),
    "JPEG with a name of 300 characters": ("a" * 296 + ".jpg", lambda: picture("JPEG") + CANARY),
    "JPEG with a name from right to left": ("a\u202egpj.exe", lambda: picture("JPEG") + CANARY),
    "JPEG that climbs folders": ("../../../etc/cron.d/a.jpg", lambda: picture("JPEG") + CANARY),
    "PNG and ZIP": ("a.png", lambda: picture("PNG") + with_zip() + CANARY),
    "PNG with a script as text": ("a.png", png_with_text),
    "PNG with an unknown chunk": ("a.png", lambda: png(8, 8, extra=chunk(b"scRt", SCRIPT))),
    "PNG and PDF": ("a.pdf", lambda: picture("PNG") + PDF + CANARY),
    "WebP with XMP": ("a.webp", lambda: picture("WEBP", xmp=HTML)),
    "WebP with EXIF": ("a.webp", lambda: picture("WEBP", exif=exif(note=SCRIPT))),
    "PDF with JavaScript": ("a.jpg", lambda: PDF.replace(b"/Catalog", b"/Catalog/OpenAction<</S/JavaScript/JS(x)>>")),
    "PDF before a JPEG": ("a.jpg", lambda: PDF + picture("JPEG")),
    "SVG": ("a.svg", lambda: SVG),
    "SVG called .png": ("a.png", lambda: b'<?xml version="1.0"?>' + SVG),
    "HTML": ("a.jpg", lambda: HTML),
    "HTML before a PNG": ("a.png", lambda: HTML + picture("PNG")),
    "ZIP": ("a.jpg", with_zip),
}  # fmt: skip
REFUSED = {
    "GIF whose header is JavaScript", "PDF with JavaScript", "PDF before a JPEG", "SVG", "SVG called .png", "HTML",
    "HTML before a PNG", "ZIP",
}  # fmt: skip
"""The other polyglots are pictures too: they are taken, and nothing but their pixels is kept."""
OTHER_KINDS = ("BMP", "TIFF", "ICO", "PPM", "TGA", "JPEG2000")
