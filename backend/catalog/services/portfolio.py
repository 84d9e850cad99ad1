"""Pieces of work that providers show."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.catalog.errors import TooManyPictures
from backend.catalog.models import PortfolioItem
from backend.catalog.services.providers import lock_provider
from backend.core.actor import Actor
from backend.core.errors import NotFound, invalid_field
from backend.media import public as media

MAX_BYTES = 5 * 1024 * 1024
MOST = 100


@transaction.atomic
def add_item(*, actor: Actor, picture: str, values: Mapping[str, Any], now: datetime) -> PortfolioItem:
    """Show a piece of work with this kept picture. Raises NotFound, TooManyPictures, or a 422 for a day ahead."""
    provider = lock_provider(actor.id, now=now)
    _check(values, now=now)
    if PortfolioItem.objects.filter(provider=provider).count() >= MOST:
        raise TooManyPictures
    media.claim_picture(picture, now=now)
    return PortfolioItem.objects.create(provider=provider, picture=picture, **values, created_at=now, updated_at=now)


@transaction.atomic
def change_item(*, actor: Actor, item_id: int, changes: Mapping[str, Any], now: datetime) -> PortfolioItem:
    """Change what is said of one's own piece of work. Raises NotFound, or a 422."""
    item = _lock(actor, item_id)
    _check(changes, now=now)
    for name, value in changes.items():
        setattr(item, name, value)
    item.version += 1
    item.updated_at = now
    item.save()
    return item


@transaction.atomic
def delete_item(*, actor: Actor, item_id: int, now: datetime) -> None:
    """Show it no more; its picture is deleted. Raises NotFound."""
    item = _lock(actor, item_id)
    media.release_picture(item.picture, now=now)
    item.delete()


def _lock(actor: Actor, item_id: int) -> PortfolioItem:
    item = PortfolioItem.objects.select_for_update(no_key=True).filter(pk=item_id, provider_id=actor.id).first()
    if item is None:
        raise NotFound
    return item


def _check(values: Mapping[str, Any], *, now: datetime) -> None:
    completed_on = values.get("completed_on")
    # It may be tomorrow already where they live.
    if completed_on is not None and (completed_on - now.date()).days > 1:
        raise invalid_field("body.completed_on", "work that is shown was completed")
