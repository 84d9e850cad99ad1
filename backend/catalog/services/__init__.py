"""Every write of the catalogue, by use case. A fact and the sum that follows from it are one statement."""
