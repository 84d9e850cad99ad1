"""Names, addresses, telephone numbers and usernames: pure functions, for any script."""

import re
import unicodedata

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

PHOTO_SIZES = {"small": 64, "medium": 256, "large": 1024}
"""The sides of a photo's squares, in pixels."""
PHOTO_CONTENT_TYPE = "image/webp"

_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+")
"""Kana, Han and Hangul: written without spaces, the family's name first."""

_DIALLED = re.compile(r"\+?[\d\s().\-/\u00a0\u200e\u202a\u202c]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def photo_file(photo: str, size: int) -> str:
    """The key of one of a photo's squares."""
    return f"{photo}/{size}.webp"


def one_line(text: str) -> str:
    """The text with every run of white space made one space, and none around it."""
    return " ".join(text.split())


def split_name(name: str) -> tuple[str, str]:
    """First and last name of a whole one. A single word is all first name; so is a name written without spaces."""
    first, _, last = name.partition(" ")
    if last and _UNSPACED.fullmatch(first) and _UNSPACED.fullmatch(last.replace(" ", "")):
        return last, first
    return first, last


def join_names(first_name: str, last_name: str) -> str:
    """The whole name in the order of its script."""
    if _UNSPACED.fullmatch(first_name) and _UNSPACED.fullmatch(last_name):
        return last_name + first_name
    return f"{first_name} {last_name}".strip()


def is_email(text: str) -> bool:
    """Whether mail could be sent there: the form only."""
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= 254


def phone_number(text: str, *, default_region: str) -> str | None:
    """The number in E.164, or None when it is not one in shape.

    National forms are read with the default region (ISO 3166-1 alpha-2). Numbering plans are not enforced: an
    international number needs the right shape only, a national one a possible length. No letters, no extensions.
    """
    if not _DIALLED.fullmatch(text):
        return None
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        digits = "".join(str(unicodedata.digit(character)) for character in text if character.isdigit())
        found = f"+{digits}" if text.startswith("+") else ""
    else:
        found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if not text.startswith("+") and not phonenumbers.is_possible_number(number):
            return None
    return found if _E164.fullmatch(found) else None


def username_base(name: str) -> str:
    """What a made username begins with: 3 to 30 of a-z, 0-9 and `-` from the name, which is all that others may see."""
    for text in (name, "user"):
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:30].rstrip("-")
        # Without a letter it could be read as a telephone number at sign-in.
        if len(slug) >= 3 and re.search("[a-z]", slug):
            return slug
    raise AssertionError("the last text always serves")
