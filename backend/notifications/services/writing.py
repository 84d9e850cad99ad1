"""The words of a notification: from the templates, in a person's language, by their clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.utils import timezone, translation

from backend.notifications.rules import paragraphs, set_in

LONGEST_TITLE, LONGEST_BODY = 200, 1000


@dataclass(frozen=True, slots=True)
class Words:
    title: str
    body: str


def write(type_: str, values: Mapping[str, Any], *, language: str, time_zone: str) -> Words:
    """Title and body. Values that are text are put in so that they cannot do harm: one short line each, but for `text`;
    `…_on` are days, `…_at` moments, `…_code` are for the template to tell cases by. An unknown language is English.
    """
    context = {name: _shown(name, value, language) for name, value in values.items()}
    with translation.override(language), timezone.override(ZoneInfo(time_zone)):
        text = render_to_string(f"notifications/texts/{type_}.txt", context).strip()
    title, _, body = text.partition("\n\n")
    return Words(_cut(" ".join(title.split()), LONGEST_TITLE), _cut(body.strip(), LONGEST_BODY))


def _shown(name: str, value: Any, language: str) -> Any:
    if not isinstance(value, str) or name.endswith("_code"):
        return value
    if name.endswith("_on"):
        return date.fromisoformat(value)
    if name.endswith("_at"):
        return datetime.fromisoformat(value)
    return paragraphs(value) if name == "text" else set_in(value, language=language)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
