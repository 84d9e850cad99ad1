"""What may stand in the way in the catalogue."""

from backend.core.errors import Problem
from shared_contracts.errors import ErrorCode


class AlreadyReviewed(Problem):
    code, title = ErrorCode.ALREADY_RATED, "You have said what you think of this already."


class NoFinishedWork(Problem):
    code, title = ErrorCode.NO_FINISHED_WORK, "Only those who finished this job together review each other for it."
