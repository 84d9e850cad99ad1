"""Every write of dispatch, by use case."""
