"""What may be wrong with a file that was sent."""

from backend.core.errors import Forbidden, ValidationFailed
from shared_contracts.errors import ErrorCode


class InvalidImage(ValidationFailed):
    """No picture of a kind that is taken, too many pixels, damaged, or made to do harm."""

    code, title = ErrorCode.INVALID_IMAGE, "This picture is not taken."


class InvalidDocument(ValidationFailed):
    """Neither a PDF nor a picture that is taken."""

    code, title = ErrorCode.INVALID_DOCUMENT, "This file is not taken as a document."


class OwnDocument(Forbidden):
    title = "Nobody reviews a document of their own."
