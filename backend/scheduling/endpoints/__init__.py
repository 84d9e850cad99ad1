"""The operations of scheduling, by use case."""

from backend.scheduling.endpoints import bookings
from backend.scheduling.endpoints.router import router

__all__ = ["bookings", "router"]
