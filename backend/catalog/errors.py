"""What may stand in the way of a review."""

from backend.core.errors import Problem
from shared_contracts.errors import ErrorCode


class AlreadyReviewed(Problem):
    code, title = ErrorCode.ALREADY_RATED, "You have said what you think of this already."
