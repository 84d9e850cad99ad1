"""The life of a delivery: what goes to one person through one channel."""

from enum import StrEnum


class DeliveryStatus(StrEnum):
    QUEUED = "queued"
    WAITING = "waiting"
    """For the daily e-mail that gathers it."""
    GATHERED = "gathered"
    """It stands in a daily e-mail, which is a delivery of its own."""
    SENT = "sent"
    SUPPRESSED = "suppressed"
    """Nobody is to be bothered with it: switched off meanwhile, no address, too late."""
    UNDELIVERED = "undelivered"
    """Tried, and given up: a manager may have it tried again."""
