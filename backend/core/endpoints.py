"""The sidecar's operations, outside the public API and its document."""

from django.http import HttpRequest
from ninja import NinjaAPI

from backend.core import auth, epoch, problems, realtime
from backend.core.parsing import StrictParser
from shared_contracts.internal import (
    Events,
    EventsRequest,
    Heads,
    HeadsRequest,
    JoinRequests,
    JoinResults,
)

internal_api = NinjaAPI(
    title="Callout, internal",
    urls_namespace="internal",
    docs_url=None,
    openapi_url=None,
    auth=auth.sidecar,
    parser=StrictParser(),
)
problems.install(internal_api)


@internal_api.post("/realtime/joins/", response=JoinResults, operation_id="judgeJoins")
def judge_joins(request: HttpRequest, asked: JoinRequests) -> JoinResults:
    """Say for each join whether it is allowed, and what was missed."""
    results = realtime.judge_joins(asked.joins)
    return JoinResults(epoch=epoch.current(), clock_offset_ms=realtime.offset_ms(), results=results)


@internal_api.post("/realtime/heads/", response=Heads, operation_id="readHeads")
def read_heads(request: HttpRequest, asked: HeadsRequest) -> Heads:
    """The last number of each room."""
    heads = realtime.heads_of(asked.rooms)
    return Heads(epoch=epoch.current(), clock_offset_ms=realtime.offset_ms(), heads=heads)


@internal_api.post("/realtime/events/", response=Events, operation_id="readEvents")
def read_events(request: HttpRequest, asked: EventsRequest) -> Events:
    """A room's events behind a number, in order."""
    events, head = realtime.events_after(asked)
    return Events(epoch=epoch.current(), clock_offset_ms=realtime.offset_ms(), events=events, head=head)
