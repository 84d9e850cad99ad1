"""Bookings as an iCalendar object (RFC 5545), for calendars that subscribe to it.

`UID` names a booking for good and `SEQUENCE` grows with its version, so a calendar updates what it has; what was
cancelled stays in the feed as such, or a calendar would keep it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_OCTETS = 75
_ESCAPED = re.compile(r"([\\;,])")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A booking as a calendar shows it. `status`: TENTATIVE, CONFIRMED or CANCELLED."""

    booking_id: int
    version: int
    status: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    updated_at: datetime
    summary: str
    description: str
    location: str
    point: tuple[float, float] | None


def write(entries: Iterable[Entry], *, name: str) -> bytes:
    """The whole feed."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Callout//Bookings//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
        "X-PUBLISHED-TTL:PT15M",
        *(line for entry in entries for line in _event(entry)),
        "END:VCALENDAR",
    ]
    return b"".join(fold(line) + b"\r\n" for line in lines)


def _event(entry: Entry) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:booking-{entry.booking_id}@callout"
    yield f"DTSTAMP:{_moment(entry.updated_at)}"
    yield f"CREATED:{_moment(entry.created_at)}"
    yield f"LAST-MODIFIED:{_moment(entry.updated_at)}"
    yield f"SEQUENCE:{entry.version - 1}"
    yield f"STATUS:{entry.status}"
    yield f"DTSTART:{_moment(entry.starts_at)}"
    yield f"DTEND:{_moment(entry.ends_at)}"
    yield f"SUMMARY:{_text(entry.summary)}"
    if entry.description:
        yield f"DESCRIPTION:{_text(entry.description)}"
    if entry.location:
        yield f"LOCATION:{_text(entry.location)}"
    if entry.point:
        yield f"GEO:{entry.point[0]:.6f};{entry.point[1]:.6f}"
    yield f"TRANSP:{'TRANSPARENT' if entry.status == 'CANCELLED' else 'OPAQUE'}"
    yield "END:VEVENT"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    """A text value (section 3.3.11): its special characters escaped, without control characters."""
    plain = _CONTROL.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    return _ESCAPED.sub(r"\\\1", plain).replace("\n", "\\n")


def fold(line: str) -> bytes:
    """A content line in parts of 75 octets at most, none of which splits a character (section 3.1)."""
    parts, part = [], b""
    for character in line:
        octets = character.encode()
        if len(part) + len(octets) > _OCTETS:
            parts.append(part)
            part = b" "
        part += octets
    return b"\r\n".join([*parts, part])
