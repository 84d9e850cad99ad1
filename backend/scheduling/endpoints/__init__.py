"""The operations of scheduling, by use case."""

from backend.scheduling.endpoints import bookings, calendars, feeds
from backend.scheduling.endpoints.router import router

__all__ = ["bookings", "calendars", "feeds", "router"]
