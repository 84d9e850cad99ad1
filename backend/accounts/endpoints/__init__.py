"""The operations of accounts, by use case."""

from backend.accounts.endpoints import account, directory, own_account, recovery
from backend.accounts.endpoints.router import router

__all__ = ["account", "directory", "own_account", "recovery", "router"]
