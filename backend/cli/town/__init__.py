"""A believable town for the demo: who lives and works there, what they offer, show, and are told of their work."""
