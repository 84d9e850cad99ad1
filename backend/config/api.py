"""The public API: every module's router in one place, and its document."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Redoc, Swagger

from backend.accounts.endpoints import router as accounts
from backend.catalog.endpoints import router as catalog
from backend.core import openapi, problems
from backend.core.parsing import StrictParser
from backend.core.rendering import MsgspecRenderer
from backend.dispatch.endpoints import router as dispatch
from backend.media.endpoints import router as media
from backend.messaging.endpoints import router as messaging
from backend.notifications.endpoints import router as notifications
from backend.scheduling.endpoints import router as scheduling

DESCRIPTION = """
One backend for on-demand service marketplaces.

**Signing in.** `POST /auth/login/` gives an access token (15 minutes) and a refresh token. Send
`Authorization: Bearer <access>`; `POST /auth/token/refresh/` gives the next pair, and each refresh token works once.

**Errors** are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents; switch on `code`. What you may not
see is not found.

**Retries.** Send an `Idempotency-Key` with a `POST`: the same key and body have one effect and get the first answer
again (`Idempotent-Replayed: true`).

**Lists** take `page` and `page_size`, feeds an opaque `cursor`; follow `next` and `previous`. An unknown filter is an
error.

**Money** is a decimal string with its currency, **times** are RFC 3339 with an offset, **places** are WGS 84 degrees.

**Live events** come over Socket.IO from the sidecar; its own manual is at `/docs` there.
"""

TAGS = [
    {"name": "accounts", "description": "Signing up and in, sessions, one's own profile and roles."},
    {"name": "media", "description": "Photos, and documents with their review."},
    {"name": "catalog", "description": "Categories, services, providers, portfolios and reviews; the search."},
    {"name": "dispatch", "description": "Roadside assistance: ask, offer, accept, follow, complete, rate."},
    {"name": "scheduling", "description": "Bookings, opening hours, chairs, free slots and calendars."},
    {"name": "messaging", "description": "Conversations of two and of groups, about a job or whatever else; blocks."},
    {"name": "notifications", "description": "What people are told, through which channels, and how they want it."},
]


class CalloutAPI(NinjaAPI):
    """Ninja's API, with the problems of each operation in its document."""

    def get_openapi_schema(self, **kwargs: Any) -> Any:
        return openapi.complete(self, super().get_openapi_schema(**kwargs))


api = CalloutAPI(
    title="Callout",
    version="1.0.0",
    description=DESCRIPTION,
    docs_url=None,
    parser=StrictParser(),
    renderer=MsgspecRenderer(),
    openapi_extra={"tags": TAGS},
)
problems.install(api)
api.add_router("", accounts, tags=["accounts"])
api.add_router("", media, tags=["media"])
api.add_router("", catalog, tags=["catalog"])
api.add_router("", dispatch, tags=["dispatch"])
api.add_router("", scheduling, tags=["scheduling"])
api.add_router("", messaging, tags=["messaging"])
api.add_router("", notifications, tags=["notifications"])
for _path, _operation in openapi.operations(api):
    openapi.refuse_unknown_query(_operation)


def docs_page(request: HttpRequest) -> HttpResponse:
    """Swagger UI."""
    return Swagger({"persistAuthorization": True, "tryItOutEnabled": True}).render_page(request, api)


def redoc_page(request: HttpRequest) -> HttpResponse:
    """ReDoc."""
    return Redoc({"hideLogo": True}).render_page(request, api)
