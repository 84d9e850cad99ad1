"""Bookings in everybody's own calendar."""

import hashlib
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path

from backend.core import auth, clock
from backend.core.schemas import Text
from backend.scheduling import feed
from backend.scheduling.endpoints.router import router
from backend.scheduling.models import CalendarLink
from backend.scheduling.schemas.calendars import CalendarLinkOut
from backend.scheduling.selectors import feeds
from backend.scheduling.services import links

CalendarToken = Annotated[Text, Path(max_length=60)]
FEED: dict[str, Any] = {
    "responses": {
        200: {"description": "The feed.", "content": {"text/calendar": {"schema": {"type": "string"}}}},
    }
}


def _link(link: CalendarLink) -> CalendarLinkOut:
    return CalendarLinkOut(url=links.address_of(link), renewed_at=link.renewed_at)


@router.get("/me/calendar/", response=CalendarLinkOut, auth=auth.any_user, operation_id="readCalendarLink")
def read_link(request: HttpRequest) -> CalendarLinkOut:
    """The secret address of my bookings as an iCalendar feed, for any calendar that subscribes to one."""
    return _link(links.link_of(actor=auth.actor(request), now=clock.now()))


@router.post("/me/calendar/", response=CalendarLinkOut, auth=auth.any_user, operation_id="renewCalendarLink")
def renew_link(request: HttpRequest) -> CalendarLinkOut:
    """Get another address; the old one stops at once. Asked again within ten seconds, it is the same new one."""
    return _link(links.renew_link(actor=auth.actor(request), now=clock.now()))


@router.get("/calendars/{calendar_token}.ics", auth=None, operation_id="readCalendarFeed", openapi_extra=FEED)
def read_feed(request: HttpRequest, calendar_token: CalendarToken) -> HttpResponse:
    """My bookings as an iCalendar object (RFC 5545): the thousand nearest ahead, and those of the last 90 days.

    Of more than a thousand in all the past gives way, the oldest first.

    A calendar updates what it knows (`UID`, `SEQUENCE`); what was cancelled stays in the feed as such.
    With `If-None-Match`, 304 says that nothing is new.
    """
    user_id = links.owner_of(calendar_token)
    body = feed.write(feeds.entries_of(user_id, now=clock.now()), name="Callout")
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in [one.strip() for one in request.headers.get("If-None-Match", "").split(",")]:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(body, content_type="text/calendar; charset=utf-8", headers=headers)
