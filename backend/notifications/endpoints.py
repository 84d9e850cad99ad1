"""What people are told, and how they want it."""

from datetime import time
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from ninja import Path, Query, Router
from ninja.decorators import decorate_view
from ninja.responses import Status
from pydantic import Field

from backend.core import auth, clock, etags
from backend.core.errors import InvalidState, NotFound, PreconditionFailed, invalid_field
from backend.core.etags import IfMatch
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import feed, paginate
from backend.core.schemas import Feed, Id, Page
from backend.notifications import selectors
from backend.notifications.models import Device, Notification
from backend.notifications.push import vapid
from backend.notifications.schemas import (
    ChangedOut,
    DeviceIn,
    DeviceOut,
    NotificationFiltersIn,
    PreferencesIn,
    PreferencesOut,
    PushKeyOut,
    UndeliveredFiltersIn,
    UndeliveredOut,
    UnreadOut,
    UnsubscribedOut,
    show_preferences,
    show_undelivered,
)
from backend.notifications.services import preferring, reading, registering, retrying, unsubscribing
from backend.notifications.values import Channel
from shared_contracts.events import NotificationOut

router = Router()

PAGE: dict[str, Any] = {"responses": {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}}
LinkToken = Annotated[str, Field(min_length=1, max_length=unsubscribing.LONGEST), Path()]


@router.get("/notifications/", response=Feed[NotificationOut], auth=auth.any_user, operation_id="listNotifications")
def list_notifications(request: HttpRequest, filters: Query[NotificationFiltersIn]) -> dict[str, Any]:
    """What I was told, newest first."""
    rows = selectors.list_notifications_for(auth.actor(request), is_read=filters.is_read, type=filters.type)
    return feed(request, rows, filters)


@router.get(
    "/notifications/unread-count/", response=UnreadOut, auth=auth.any_user, operation_id="countUnreadNotifications"
)
def count_unread(request: HttpRequest) -> dict[str, int]:
    """How many notifications I have not read."""
    return {"unread_count": selectors.unread_count(auth.actor(request))}


@router.get(
    "/notifications/preferences/",
    response=PreferencesOut,
    auth=auth.any_user,
    operation_id="readNotificationPreferences",
)
def read_preferences(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """How I am told of what."""
    preferences = selectors.preferences_of(auth.actor(request).id)
    etags.tag(response, preferences.version)
    return show_preferences(preferences)


@router.put(
    "/notifications/preferences/",
    response=PreferencesOut,
    auth=auth.any_user,
    operation_id="replaceNotificationPreferences",
    openapi_extra=problems(PreconditionFailed),
)
def replace_preferences(
    request: HttpRequest, response: HttpResponse, payload: PreferencesIn, if_match: IfMatch = None
) -> dict[str, Any]:
    """Say how I want to be told. What is left out is as by default.

    Urgent types pass quiet hours. What may wait, and is not needed for the service, is gathered in one e-mail a day
    with `daily_email`.
    """
    if len({choice.type for choice in payload.types}) < len(payload.types):
        raise invalid_field("body.types", "each type once")
    quiet = payload.quiet_hours
    preferences = preferring.replace_preferences(
        actor=auth.actor(request),
        choices={
            choice.type: {one: value for one in Channel if (value := getattr(choice, one)) is not None}
            for choice in payload.types
        },
        quiet_hours=(time.fromisoformat(quiet.start), time.fromisoformat(quiet.until)) if quiet else None,
        daily_email=payload.daily_email,
        language=payload.language,
        wanted_versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    etags.tag(response, preferences.version)
    return show_preferences(preferences)


@router.post("/notifications/read-all/", response=ChangedOut, auth=auth.any_user, operation_id="readAllNotifications")
@decorate_view(idempotent)
def read_all(request: HttpRequest) -> dict[str, int]:
    """I have read everything that is there. My other devices get `notification.changed`."""
    return {"changed": reading.mark_all_read(actor=auth.actor(request), now=clock.now())}


@router.delete("/notifications/", response=ChangedOut, auth=auth.any_user, operation_id="clearReadNotifications")
def clear_read(request: HttpRequest) -> dict[str, int]:
    """Delete what I have read; what I have not read stays."""
    return {"changed": reading.clear_read(actor=auth.actor(request), now=clock.now())}


@router.post(
    "/notifications/{notification_id}/read/",
    response=NotificationOut,
    auth=auth.any_user,
    operation_id="readNotification",
)
@decorate_view(idempotent)
def mark_read(request: HttpRequest, notification_id: Id) -> Notification:
    """I have read this one. Reading it twice is reading it once."""
    return reading.mark_read(actor=auth.actor(request), notification_id=notification_id, now=clock.now())


@router.delete(
    "/notifications/{notification_id}/",
    response={204: None},
    auth=auth.any_user,
    operation_id="deleteNotification",
)
def delete_notification(request: HttpRequest, notification_id: Id) -> Status[None]:
    """Delete this one from my list, read or not."""
    reading.delete_notification(actor=auth.actor(request), notification_id=notification_id, now=clock.now())
    return Status(204, None)


@router.post("/devices/", response={201: DeviceOut}, auth=auth.any_user, operation_id="registerDevice")
@decorate_view(idempotent)
def register_device(request: HttpRequest, payload: DeviceIn) -> Status[Device]:
    """Have pushes sent to this browser or phone, until I sign out of this session.

    A browser subscribes with the key from `GET /push/key/`. Registering the same one again is registering it once; ten
    devices a person, the oldest goes.
    """
    if payload.kind == "fcm":
        wanted, others = {"token": payload.token}, [payload.endpoint, payload.p256dh, payload.auth]
    else:
        wanted = {"endpoint": payload.endpoint, "p256dh": payload.p256dh, "auth": payload.auth}
        others = [payload.token]
    for name, value in wanted.items():
        if not value:
            raise invalid_field(f"body.{name}", f"needed for {payload.kind}")
    if any(value is not None for value in others):
        raise invalid_field("body.kind", f"{payload.kind} takes {', '.join(wanted)}")
    device = registering.NewDevice(
        kind=payload.kind,
        token=payload.token or payload.endpoint or "",
        public_key=payload.p256dh or "",
        secret=payload.auth or "",
    )
    return Status(201, registering.register_device(actor=auth.actor(request), device=device, now=clock.now()))


@router.delete("/devices/{device_id}/", response={204: None}, auth=auth.any_user, operation_id="removeDevice")
def remove_device(request: HttpRequest, device_id: Id) -> Status[None]:
    """Send nothing to this device of mine any more."""
    registering.remove_device(actor=auth.actor(request), device_id=device_id)
    return Status(204, None)


@router.get("/push/key/", response=PushKeyOut, auth=None, operation_id="readPushKey")
def read_push_key(request: HttpRequest) -> dict[str, str | None]:
    """The key that browsers subscribe with."""
    return {"public_key": vapid.public_key()}


@router.get(
    "/unsubscribe/{token}/",
    response=UnsubscribedOut,
    auth=None,
    operation_id="openUnsubscribeLink",
    openapi_extra=PAGE,
)
def open_unsubscribe_link(request: HttpRequest, token: LinkToken) -> dict[str, str] | HttpResponse:
    """The page that an e-mail's link opens. It asks; nothing is changed yet. A browser gets a page."""
    try:
        subscription = unsubscribing.read_link(token)
    except NotFound:
        if _wants_page(request):
            return _page("unknown", language=translation.get_language_from_request(request), status=422)
        raise
    if not _wants_page(request):
        return {"type": subscription.type}
    return _page("ask", language=subscription.language, type=subscription.type)


@router.post(
    "/unsubscribe/{token}/", response=UnsubscribedOut, auth=None, operation_id="unsubscribe", openapi_extra=PAGE
)
def unsubscribe(request: HttpRequest, token: LinkToken) -> dict[str, str] | HttpResponse:
    """No more e-mails of this kind, with one click (RFC 8058). The form's content is not looked at."""
    subscription = unsubscribing.unsubscribe(token=token, now=clock.now())
    if not _wants_page(request):
        return {"type": subscription.type}
    return _page("done", language=subscription.language, type=subscription.type)


@router.get("/admin/undelivered/", response=Page[UndeliveredOut], auth=auth.manager, operation_id="listUndelivered")
def list_undelivered(request: HttpRequest, filters: Query[UndeliveredFiltersIn]) -> dict[str, Any]:
    """What could not be delivered, and why; the newest first."""
    rows = selectors.list_undelivered(channel=filters.channel, user_id=filters.user_id)
    return paginate(request, rows, filters, out=show_undelivered)


@router.post(
    "/admin/undelivered/{delivery_id}/retry/",
    response=UndeliveredOut,
    auth=auth.manager,
    operation_id="retryUndelivered",
    openapi_extra=problems(InvalidState),
)
@decorate_view(idempotent)
def retry_undelivered(request: HttpRequest, delivery_id: Id) -> dict[str, Any]:
    """Try it again from the beginning, also where its address was refused for good."""
    delivery = retrying.retry_delivery(actor=auth.actor(request), delivery_id=delivery_id, now=clock.now())
    return show_undelivered(delivery)


def _wants_page(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _page(name: str, *, language: str, type: str = "", status: int = 200) -> HttpResponse:  # noqa: A002
    with translation.override(language):
        values = {"language": language, "is_rtl": translation.get_language_bidi(), "type": type}
        page = render_to_string(f"notifications/pages/{name}.html", values)
    return HttpResponse(page, status=status, headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})
