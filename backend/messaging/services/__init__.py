"""Every write of messaging. A conversation's row is locked before anything in it changes."""
