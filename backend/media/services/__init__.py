"""Every write of media, by use case."""
