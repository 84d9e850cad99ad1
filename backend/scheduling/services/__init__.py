"""Every write of scheduling, by use case."""
