"""What may stand in the way in the catalogue."""

from backend.core.errors import Forbidden, Problem
from shared_contracts.errors import ErrorCode


class AlreadyReviewed(Problem):
    code, title = ErrorCode.ALREADY_RATED, "You have said what you think of this already."


class NoFinishedWork(Problem):
    code, title = ErrorCode.NO_FINISHED_WORK, "Only those who finished this job together review each other for it."


class AlreadyReplied(Problem):
    code, title = ErrorCode.ALREADY_REPLIED, "A review is replied to once."


class AlreadyReported(Problem):
    code, title = ErrorCode.ALREADY_REPORTED, "You have reported this review already."


class CategoryExists(Problem):
    code, title = ErrorCode.CATEGORY_EXISTS, "There is a category of this name in this place already."


class CategoryInUse(Problem):
    code, title = ErrorCode.CATEGORY_IN_USE, "Empty it first: categories below it, services or providers are in it."


class TooManyCategories(Problem):
    title = "The tree is full: a thousand categories at most."


class TooManyServices(Problem):
    code, title = ErrorCode.TOO_MANY_SERVICES, "Two hundred services at a time: archive one first."


class TooManyPictures(Problem):
    code, title = ErrorCode.TOO_MANY_PICTURES, "A portfolio has a hundred pieces: delete one first."


class OwnReview(Forbidden):
    title = "Nobody reviews themselves."
