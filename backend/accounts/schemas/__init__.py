"""What the operations of accounts take and give, by use case."""
