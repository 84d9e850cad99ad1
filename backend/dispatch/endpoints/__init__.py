"""The operations of roadside assistance, by use case."""

from backend.dispatch.endpoints import assistants, jobs, requests, tariffs
from backend.dispatch.endpoints.router import router

__all__ = ["assistants", "jobs", "requests", "router", "tariffs"]
