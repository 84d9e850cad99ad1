"""What may stand in the way of saying something."""

from backend.core.errors import Problem
from shared_contracts.errors import ErrorCode


class ConversationClosed(Problem):
    code, title = ErrorCode.CONVERSATION_CLOSED, "This conversation is over: it can be read, but not written to."
