"""Names, and who may talk about a job."""

from backend.accounts import public as accounts
from backend.core.references import SUBJECT_PEOPLE
from backend.dispatch.models import Assistance
from backend.dispatch.states import TAKEN, Status
from shared_contracts.events import Person


def named(*user_ids: int | None) -> dict[int, Person]:
    """These people as events and answers name them. One query."""
    found = accounts.people([user_id for user_id in user_ids if user_id is not None])
    return {user_id: Person(id=user_id, name=person.name) for user_id, person in found.items()}


def who_may_talk(assistance_id: int) -> frozenset[int] | None:
    """The job's client and, unless it is nobody's or was called off, its assistant. One query.

    The job is locked: neither of them stops being a party to it before the end of the transaction.
    """
    job = Assistance.objects.select_for_update(no_key=True).filter(pk=assistance_id).first()
    if job is None:
        return None
    return frozenset({job.client_id, job.taken_by} if job.status in TAKEN | {Status.COMPLETED} else {job.client_id})


def answer_for_jobs() -> None:
    """Called once when the apps are ready."""
    SUBJECT_PEOPLE.answered_by(Assistance.reference_kind, who_may_talk)
