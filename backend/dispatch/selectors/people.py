"""Names."""

from backend.accounts import public as accounts
from shared_contracts.events import Person


def named(*user_ids: int | None) -> dict[int, Person]:
    """These people as events and answers name them. One query."""
    found = accounts.people([user_id for user_id in user_ids if user_id is not None])
    return {user_id: Person(id=user_id, name=person.name) for user_id, person in found.items()}
