"""Compiles the translations: `python -m backend.cli.catalogues` makes each `django.mo` anew from its `django.po`.

What gettext's own msgfmt does, without gettext, for what our catalogues use: plain messages and their translations.
"""

import ast
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from backend.core.environment import ROOT

_ENTRY = re.compile(r'^msgid ((?:"[^\n]*"\n)+)msgstr ((?:"[^\n]*"\n?)+)', re.MULTILINE)


def catalogues() -> Iterable[Path]:
    """Every `django.po` of the backend's modules."""
    return sorted((ROOT / "backend").glob("*/locale/*/LC_MESSAGES/django.po"))


def read(text: str) -> dict[str, str]:
    """The messages of a catalogue; the empty one is its header."""
    return {_joined(found[1]): _joined(found[2]) for found in _ENTRY.finditer(text)}


def _joined(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.splitlines())


def compiled(messages: dict[str, str]) -> bytes:
    """The messages as gettext reads them: two tables of lengths and offsets, then the texts (GNU gettext, 10.3)."""
    pairs = [(key.encode(), messages[key].encode()) for key in sorted(messages) if messages[key]]
    start = 7 * 4 + 16 * len(pairs)
    keys, values, texts = b"", b"", b""
    for table, side in (("keys", 0), ("values", 1)):
        rows = b""
        for pair in pairs:
            rows += struct.pack("<2I", len(pair[side]), start + len(texts))
            texts += pair[side] + b"\0"
        keys, values = (rows, values) if table == "keys" else (keys, rows)
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return header + keys + values + texts


def main() -> None:
    for source in catalogues():
        source.with_suffix(".mo").write_bytes(compiled(read(source.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
