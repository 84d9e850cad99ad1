"""Every read of messaging: members see their conversations, nobody else does, managers included."""
