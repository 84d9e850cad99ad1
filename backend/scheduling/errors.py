"""What can go wrong between a wish and a booking."""

from backend.core.errors import InvalidState, Problem
from shared_contracts.errors import ErrorCode


class SlotTaken(Problem):
    code, title = ErrorCode.SLOT_TAKEN, "This time is taken already."


class NotAvailable(Problem):
    """`reason` says why: closed, time_off, too_soon or too_far."""

    code, title = ErrorCode.NOT_AVAILABLE, "The provider takes no bookings at this time."


class OwnProposal(Problem):
    status, code, title = 403, ErrorCode.FORBIDDEN, "Who proposed this time cannot confirm it: the other side does."


class TooEarly(InvalidState):
    title = "This is possible from the start of the booking on."


class TooLate(InvalidState):
    title = "It is too late for this."


class ResourceInUse(Problem):
    code, title = ErrorCode.RESOURCE_IN_USE, "There are bookings ahead: cancel or move them first."


class LastResource(Problem):
    code, title = ErrorCode.RESOURCE_IN_USE, "A provider keeps one calendar at least."


class TooMany(Problem):
    code, title = ErrorCode.TOO_MANY, "There are as many of these as there may be."
