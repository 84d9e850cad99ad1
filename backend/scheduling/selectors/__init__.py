"""Every read of scheduling."""
