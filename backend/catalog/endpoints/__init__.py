"""The operations of the catalogue, by use case."""

from backend.catalog.endpoints import categories, listings, portfolio, providers, reviews
from backend.catalog.endpoints.router import router

__all__ = ["categories", "listings", "portfolio", "providers", "reviews", "router"]
