"""Every read of the catalogue, by what is read."""
