"""A person's own places."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.errors import TooManyAddresses
from backend.accounts.models import Address
from backend.accounts.services.profile import lock_active
from backend.core.actor import Actor
from backend.core.errors import NotFound

MOST = 50


@transaction.atomic
def add_address(*, actor: Actor, values: Mapping[str, Any], now: datetime) -> Address:
    """Keep one more address; the first one is the primary. Raises TooManyAddresses."""
    user = lock_active(actor.id)
    count = Address.objects.filter(user=user).count()
    if count >= MOST:
        raise TooManyAddresses
    is_primary = values.get("is_primary", False) or not count
    if is_primary:
        _demote(user.pk, now=now)
    return Address.objects.create(user=user, **{**values, "is_primary": is_primary}, created_at=now, updated_at=now)


@transaction.atomic
def change_address(*, actor: Actor, address_id: int, changes: Mapping[str, Any], now: datetime) -> Address:
    """Change the given fields of one's own address; a new primary one takes the other's place. Raises NotFound."""
    lock_active(actor.id)
    address = Address.objects.filter(pk=address_id, user_id=actor.id).first()
    if address is None:
        raise NotFound
    if changes.get("is_primary"):
        _demote(actor.id, now=now)
    for name, value in changes.items():
        setattr(address, name, value)
    address.updated_at = now
    address.save()
    return address


@transaction.atomic
def remove_address(*, actor: Actor, address_id: int) -> None:
    """Forget one's own address. Raises NotFound."""
    deleted, _ = Address.objects.filter(pk=address_id, user_id=actor.id).delete()
    if not deleted:
        raise NotFound


def _demote(user_id: int, *, now: datetime) -> None:
    Address.objects.filter(user_id=user_id, is_primary=True).update(is_primary=False, updated_at=now)
