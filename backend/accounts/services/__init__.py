"""Every write of accounts, by use case."""
