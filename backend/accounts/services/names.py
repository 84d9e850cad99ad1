"""The three names of a person: the whole one, and its first and last part."""

from backend.accounts import rules
from backend.accounts.models import DELETED_NAME
from backend.core.errors import ValidationFailed, invalid_field


def names_of(*, name: str | None, first_name: str | None, last_name: str | None) -> dict[str, str]:
    """All three names from those that are there.

    Raises a 422 when the whole would have more than 150 characters, or is what those are called who are gone.
    """
    if name is None:
        name = rules.join_names(first_name or "", last_name or "")
    if len(name) > 150:
        raise ValidationFailed(
            errors=[{"field": "body.last_name", "code": "string_too_long", "message": "150 characters in all at most"}]
        )
    if name == DELETED_NAME:
        raise invalid_field("body.name", "this is what deleted accounts are called")
    first, last = rules.split_name(name)
    return {
        "name": name,
        "first_name": first if first_name is None else first_name,
        "last_name": last if last_name is None else last_name,
    }
