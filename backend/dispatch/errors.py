"""What can go wrong on the way from a request to a finished job."""

from django.db import IntegrityError

from backend.core.errors import InvalidState, Problem
from shared_contracts.errors import ErrorCode


class AlreadyAccepted(Problem):
    code, title = ErrorCode.ALREADY_ACCEPTED, "Another assistant was faster."


class OfferGone(Problem):
    code, title = ErrorCode.OFFER_GONE, "This offer does not stand any more."


class AssistantBusy(Problem):
    code, title = ErrorCode.ASSISTANT_BUSY, "Finish the job you have first."


class NotOnDuty(Problem):
    code, title = ErrorCode.NOT_ON_DUTY, "Go on duty first."


class LicenceExpired(Problem):
    code, title = ErrorCode.LICENCE_EXPIRED, "The driving licence has expired."


class LicenceNotApproved(Problem):
    code, title = ErrorCode.LICENCE_NOT_APPROVED, "Show a driving licence that holds, and wait until it is approved."


class OpenRequestExists(Problem):
    code, title = ErrorCode.OPEN_REQUEST_EXISTS, "One request at a time: cancel or finish the open one first."


class QuoteExpired(Problem):
    code, title = ErrorCode.QUOTE_EXPIRED, "The quote's time is over: ask for a new one."


class TariffMissing(Problem):
    code, title = ErrorCode.TARIFF_MISSING, "There is no tariff for this service and vehicle yet."


class AlreadyRated(Problem):
    code, title = ErrorCode.ALREADY_RATED, "This job was rated already."


class NobodyToTalkTo(InvalidState):
    title = "The conversation opens when an assistant accepts."


def violates(error: IntegrityError, constraint: str) -> bool:
    """Whether it is this constraint that refused."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) == constraint
