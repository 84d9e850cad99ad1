"""Pure rules: when a person is left in peace, and how what others wrote is put into a sentence."""

import re
import unicodedata
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DIGEST_AT = time(8)
"""The daily e-mail goes out at eight in the morning, by the person's own clock."""
LONGEST_VALUE = 120

_RIGHT_TO_LEFT = frozenset({"ar", "he", "fa", "ur"})
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of what follows: only ours may stand in a sentence."""


def end_of_quiet(now: datetime, *, quiet_from: time, quiet_until: time, time_zone: str) -> datetime | None:
    """When the quiet hours end that `now` falls into; None outside them. From is in, until is not."""
    local = now.astimezone(ZoneInfo(time_zone))
    clock = local.time()
    over_midnight = quiet_from > quiet_until
    is_evening = over_midnight and clock >= quiet_from
    if not (is_evening or clock < quiet_until if over_midnight else quiet_from <= clock < quiet_until):
        return None
    return _next(local, quiet_until, days=1 if is_evening else 0)


def next_daily_email(now: datetime, *, time_zone: str) -> datetime:
    """The next eight o'clock."""
    local = now.astimezone(ZoneInfo(time_zone))
    return _next(local, DIGEST_AT, days=0 if local.time() < DIGEST_AT else 1)


def _next(local: datetime, at: time, *, days: int) -> datetime:
    """That time of that day, in UTC. Where the clock shows it twice, the one that is still to come."""
    moment = datetime.combine(local.date() + timedelta(days=days), at, tzinfo=local.tzinfo)
    if moment.astimezone(UTC) <= local.astimezone(UTC):
        moment = moment.replace(fold=1)
    return moment.astimezone(UTC)


def plain(text: str) -> str:
    """One short line of what somebody wrote, without control characters and marks that turn the direction."""
    text = _one_line(text)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1].rstrip() + "…"


def paragraphs(text: str) -> str:
    """The same for what is a text of its own: as long as it is, with its lines."""
    return "\n".join(map(_one_line, text.splitlines())).strip()


def _one_line(text: str) -> str:
    text = "".join(" " if unicodedata.category(one) in {"Cc", "Zl", "Zp"} else one for one in text)
    return " ".join(_DIRECTION.sub("", text).split())


def set_in(text: str, *, language: str) -> str:
    """`plain`, isolated where its letters run against the sentence it is set into (UAX #9, section 2.4)."""
    text = plain(text)
    against = {"L"} if is_right_to_left(language) else {"R", "AL"}
    runs_against = any(unicodedata.bidirectional(one) in against for one in text)
    return f"\u2068{text}\u2069" if runs_against else text


def is_right_to_left(language: str) -> bool:
    return language.partition("-")[0].lower() in _RIGHT_TO_LEFT
