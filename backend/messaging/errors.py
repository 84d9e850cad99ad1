"""What may stand in the way of talking."""

from backend.core.errors import Problem
from shared_contracts.errors import ErrorCode


class ConversationClosed(Problem):
    code, title = ErrorCode.CONVERSATION_CLOSED, "This conversation is over: it can be read, but not written to."


class ConversationOfTwo(Problem):
    code, title = ErrorCode.CONVERSATION_OF_TWO, "A conversation of two stays one: open another with more people."


class ConversationFull(Problem):
    code, title = ErrorCode.CONVERSATION_FULL, "A conversation has 100 members at most."


class ConversationLeft(Problem):
    code, title = ErrorCode.CONVERSATION_LEFT, "You were taken out of this conversation: ask a member to add you."


class MessageFixed(Problem):
    code, title = ErrorCode.MESSAGE_FIXED, "This message can no longer be changed."


class TooManyAttachments(Problem):
    code, title = ErrorCode.TOO_MANY_ATTACHMENTS, "50 files wait for a message of yours: send some of them first."
