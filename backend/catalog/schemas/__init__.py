"""What the operations of the catalogue take and give, by use case. Shapes only: the rules are the services'."""
