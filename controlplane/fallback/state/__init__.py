"""What the gateway has been told: the objects, kept on disk."""
