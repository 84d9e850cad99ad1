"""The operations of conversations, by use case."""

from backend.messaging.endpoints import blocks, conversations, messages
from backend.messaging.endpoints.router import router

__all__ = ["blocks", "conversations", "messages", "router"]
