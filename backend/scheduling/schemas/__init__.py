"""What the operations of scheduling take and give. Shapes only: the rules are the services'."""
