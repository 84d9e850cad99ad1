"""Reviews: read, written, replied to, reported, removed."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.catalog.endpoints.router import router
from backend.catalog.errors import AlreadyReplied, AlreadyReported, AlreadyReviewed, NoFinishedWork, OwnReview
from backend.catalog.schemas.providers import ReplyIn, ReportIn, ReviewIn, ReviewOut
from backend.catalog.selectors import shapes
from backend.catalog.selectors.reviews import list_reviews_of
from backend.catalog.services import reviews
from backend.core import auth, clock
from backend.core.errors import UnknownReference
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.schemas import Id, Page


@router.get("/providers/{provider_id}/reviews/", response=Page[ReviewOut], auth=None, operation_id="listReviews")
def list_reviews(request: HttpRequest, provider_id: Id, filters: Query[PageIn]) -> dict[str, Any]:
    """What people think of a provider, the newest first."""
    page = paginate(request, list_reviews_of(provider_id), filters)
    return {**page, "results": shapes.show_reviews(page["results"])}


@router.post(
    "/providers/{provider_id}/reviews/",
    response={201: ReviewOut},
    auth=auth.client,
    operation_id="reviewProvider",
    openapi_extra=problems(AlreadyReviewed, NoFinishedWork, OwnReview, UnknownReference),
)
@decorate_view(idempotent)
def review_provider(request: HttpRequest, provider_id: Id, payload: ReviewIn) -> Status[dict[str, Any]]:
    """Say what I think of a provider: of a job that we finished (verified, once a job), or without one (once).

    Where the provider may review me for the same job, both reviews are shown when both are written, or after 14 days.
    One without a job counts in the average only where there are no others.
    """
    written = reviews.review_provider(
        actor=auth.actor(request),
        provider_id=provider_id,
        rating=payload.rating,
        comment=payload.comment,
        job=payload.job,
        now=clock.now(),
    )
    return Status(201, shapes.show_review(written.id))


@router.post(
    "/reviews/{review_id}/reply/",
    response={201: ReviewOut},
    auth=auth.any_user,
    operation_id="replyToReview",
    openapi_extra=problems(AlreadyReplied),
)
@decorate_view(idempotent)
def reply_to_review(request: HttpRequest, review_id: Id, payload: ReplyIn) -> Status[dict[str, Any]]:
    """Reply to a review of me, once."""
    reviews.reply_to_review(actor=auth.actor(request), review_id=review_id, reply=payload.reply, now=clock.now())
    return Status(201, shapes.show_review(review_id))


@router.post(
    "/reviews/{review_id}/report/",
    response={204: None},
    auth=auth.any_user,
    operation_id="reportReview",
    openapi_extra=problems(AlreadyReported),
)
@decorate_view(idempotent)
def report_review(request: HttpRequest, review_id: Id, payload: ReportIn) -> Status[None]:
    """Tell the managers that a review should not stand."""
    reviews.report_review(actor=auth.actor(request), review_id=review_id, reason=payload.reason, now=clock.now())
    return Status(204, None)


@router.delete("/reviews/{review_id}/", response={204: None}, auth=auth.manager, operation_id="removeReview")
def remove_review(request: HttpRequest, review_id: Id) -> Status[None]:
    """Take a review away; it counts no more, and its author does not write it again."""
    reviews.remove_review(actor=auth.actor(request), review_id=review_id, now=clock.now())
    return Status(204, None)
