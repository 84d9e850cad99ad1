"""Pieces of work that I show."""

from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest
from ninja import File, Form, Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.catalog.endpoints.router import router
from backend.catalog.errors import TooManyPictures
from backend.catalog.schemas.providers import PortfolioChangeIn, PortfolioFormIn, PortfolioItemOut
from backend.catalog.selectors import shapes
from backend.catalog.services import portfolio
from backend.core import auth, clock
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.schemas import Id, Page
from backend.core.uploads import Upload, prepared, receives_file
from backend.media import public as media
from backend.media.errors import InvalidImage


def _kept(upload: TemporaryUploadedFile) -> str:
    return media.keep_picture(upload, now=clock.now())


@router.get("/me/portfolio/", response=Page[PortfolioItemOut], auth=auth.provider, operation_id="listMyPortfolio")
def list_my_portfolio(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """My pieces of work, the newest first."""
    items = shapes.list_portfolio_of(auth.actor(request))
    return paginate(request, items, filters, out=lambda item: shapes.show_item(item, now=clock.now()))


@router.post(
    "/me/portfolio/",
    response={201: PortfolioItemOut},
    auth=auth.provider,
    operation_id="addToMyPortfolio",
    openapi_extra=problems(TooManyPictures, InvalidImage),
)
@decorate_view(
    idempotent,
    receives_file(
        max_bytes=portfolio.MAX_BYTES, form=PortfolioFormIn, prepare=_kept, name="image", guard=auth.provider
    ),
)
def add_to_my_portfolio(
    request: HttpRequest, payload: Form[PortfolioFormIn], image: File[Upload]
) -> Status[dict[str, Any]]:
    """Show a piece of work: a JPEG, PNG, WebP or the first frame of a GIF; at most 5 MB and 25 megapixels.

    The picture is kept whole in two sizes, without any metadata.
    """
    now = clock.now()
    item = portfolio.add_item(
        actor=auth.actor(request), picture=prepared(request), values=payload.model_dump(), now=now
    )
    return Status(201, shapes.show_item(item, now=now))


@router.patch(
    "/me/portfolio/{item_id}/",
    response=PortfolioItemOut,
    auth=auth.provider,
    operation_id="updateMyPortfolio",
)
def update_my_portfolio(request: HttpRequest, item_id: Id, payload: PortfolioChangeIn) -> dict[str, Any]:
    """Change what is said of a piece of work; another picture is another piece."""
    now = clock.now()
    item = portfolio.change_item(
        actor=auth.actor(request),
        item_id=item_id,
        changes=payload.given(),
        now=now,
    )
    return shapes.show_item(item, now=now)


@router.delete(
    "/me/portfolio/{item_id}/", response={204: None}, auth=auth.provider, operation_id="deleteFromMyPortfolio"
)
def delete_from_my_portfolio(request: HttpRequest, item_id: Id) -> Status[None]:
    """Show a piece of work no more; its picture is deleted."""
    portfolio.delete_item(actor=auth.actor(request), item_id=item_id, now=clock.now())
    return Status(204, None)
