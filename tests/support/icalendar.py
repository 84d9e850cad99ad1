"""A strict reader of iCalendar (RFC 5545), written from the RFC: whatever bends a rule is refused.

And a calendar that subscribes to a feed as calendars do: by UID, the higher SEQUENCE wins.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

_NAME = re.compile(r"[A-Z0-9-]+")
_PARAMETER = re.compile(r';([A-Z0-9-]+)=("[^"\x00-\x08\x0a-\x1f\x7f]*"|[^";:,\x00-\x08\x0a-\x1f\x7f]*)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TEXT = re.compile(r"(?:[^\\;,]|\\[\\;,nN])*")
_MOMENT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_FLOAT = r"[+-]?[0-9]+(?:\.[0-9]+)?"

_TEXTS = {"SUMMARY", "DESCRIPTION", "LOCATION", "UID", "PRODID", "X-WR-CALNAME"}
_MOMENTS = {"DTSTAMP", "DTSTART", "DTEND", "CREATED", "LAST-MODIFIED"}
_ONE_OF = {
    "STATUS": {"TENTATIVE", "CONFIRMED", "CANCELLED"},
    "TRANSP": {"OPAQUE", "TRANSPARENT"},
    "CALSCALE": {"GREGORIAN"},
    "VERSION": {"2.0"},
    "METHOD": {"PUBLISH"},
}
_PATTERNS = {
    "SEQUENCE": re.compile(r"[0-9]+"),
    "GEO": re.compile(f"{_FLOAT};{_FLOAT}"),
    "REFRESH-INTERVAL": re.compile(r"PT[0-9]+M"),
    "X-PUBLISHED-TTL": re.compile(r"PT[0-9]+M"),
}
_OF_CALENDAR = {"required": {"PRODID", "VERSION"}, "once": {"PRODID", "VERSION", "CALSCALE", "METHOD"}}
_OF_EVENT = {
    # DTSTART is required where the calendar names no METHOD, and wanted by everybody who shows it.
    "required": {"UID", "DTSTAMP", "DTSTART"},
    "once": {
        "UID", "DTSTAMP", "DTSTART", "DTEND", "CREATED", "LAST-MODIFIED", "SEQUENCE", "STATUS", "SUMMARY",
        "DESCRIPTION", "LOCATION", "GEO", "TRANSP",
    },
}  # fmt: skip


class NoCalendar(ValueError):
    """The rule that was broken."""


@dataclass
class Component:
    """BEGIN to END: properties with their values read, and what stands inside."""

    kind: str
    properties: dict[str, str | datetime | int] = field(default_factory=dict)
    inside: list["Component"] = field(default_factory=list)


def read(content: bytes) -> Component:
    """The only VCALENDAR of a feed. Raises NoCalendar."""
    stack: list[Component] = []
    done: Component | None = None
    for line in _unfolded(content):
        name, value = _split(line)
        _must(done is None, "nothing after END:VCALENDAR")
        if name == "BEGIN":
            stack.append(Component(value))
            _must(value == ("VCALENDAR" if len(stack) == 1 else "VEVENT"), f"no {value} at depth {len(stack)}")
        elif name == "END":
            _must(bool(stack) and stack[-1].kind == value, f"END:{value} of nothing")
            closed = stack.pop()
            _check(closed)
            if stack:
                stack[-1].inside.append(closed)
            else:
                done = closed
        else:
            _must(bool(stack), f"{name} outside of everything")
            _must(name not in stack[-1].properties, f"{name} twice")
            stack[-1].properties[name] = _value(name, value)
    if done is None:
        raise NoCalendar("no END:VCALENDAR")
    uids = [event.properties["UID"] for event in done.inside]
    _must(len(set(uids)) == len(uids), "a UID twice")
    return done


def _must(held: bool, rule: str) -> None:
    if not held:
        raise NoCalendar(rule)


def _unfolded(content: bytes) -> Iterator[str]:
    """Content lines (section 3.1): CRLF at each end, 75 octets at most, folded between characters."""
    _must(content.endswith(b"\r\n"), "the last line ends with CRLF")
    line = ""
    for number, octets in enumerate(content[:-2].split(b"\r\n")):
        _must(b"\r" not in octets and b"\n" not in octets, "no CR or LF by itself")
        _must(0 < len(octets) <= 75, f"1 to 75 octets a line, not {len(octets)}")
        part = octets.decode()
        if part[0] in " \t":
            _must(number > 0 and len(part) > 1, "a line goes on from another, with something")
            line += part[1:]
        else:
            if number:
                yield line
            line = part
    yield line


def _split(line: str) -> tuple[str, str]:
    """Name and value; the parameters are checked."""
    _must(not _CONTROL.search(line), "no control characters")
    match = _NAME.match(line)
    if match is None:
        raise NoCalendar(f"no name: {line!r}")
    at = match.end()
    while (parameter := _PARAMETER.match(line, at)) is not None:
        at = parameter.end()
    _must(line[at : at + 1] == ":", f"no colon where one belongs: {line!r}")
    return match[0], line[at + 1 :]


def _value(name: str, value: str) -> str | datetime | int:
    if name in _MOMENTS:
        _must(bool(_MOMENT.fullmatch(value)), f"{name} is a moment in UTC: {value!r}")
        return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if name in _TEXTS:
        _must(bool(_TEXT.fullmatch(value)), f"{name} is escaped: {value!r}")
        return re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)
    if name in _ONE_OF:
        _must(value in _ONE_OF[name], f"{name}:{value}")
        return value
    _must(name in _PATTERNS and bool(_PATTERNS[name].fullmatch(value)), f"{name}:{value}")
    return int(value) if name == "SEQUENCE" else value


def _check(component: Component) -> None:
    rules = _OF_CALENDAR if component.kind == "VCALENDAR" else _OF_EVENT
    missing = rules["required"] - component.properties.keys()
    _must(not missing, f"{component.kind} without {missing}")
    extra = {name for name in component.properties.keys() - rules["once"] if component.kind == "VEVENT"}
    _must(not extra, f"{component.kind} with {extra}")
    if component.kind == "VEVENT":
        start, end = component.properties["DTSTART"], component.properties.get("DTEND")
        _must(end is None or (isinstance(start, datetime) and isinstance(end, datetime) and start < end), "it ends")
        if isinstance(geo := component.properties.get("GEO"), str):
            lat, lng = map(float, geo.split(";"))
            _must(-90 <= lat <= 90 and -180 <= lng <= 180, "on earth")


class Calendar:
    """What a calendar shows that reads a feed again and again."""

    def __init__(self) -> None:
        self.events: dict[str, Component] = {}

    def refresh(self, content: bytes) -> None:
        """Raises NoCalendar for a feed that changes an event without saying so, or goes back."""
        for event in read(content).inside:
            known = self.events.get(str(event.properties["UID"]))
            if known is not None and known.properties != event.properties:
                before, after = known.properties["SEQUENCE"], event.properties["SEQUENCE"]
                _must(int(str(before)) < int(str(after)), f"a change from SEQUENCE {before} to {after}")
                _must(known.properties["DTSTAMP"] <= event.properties["DTSTAMP"], "DTSTAMP goes back")  # type: ignore[operator]
            self.events[str(event.properties["UID"])] = event
