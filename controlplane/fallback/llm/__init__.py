"""The protocols that language models speak, who speaks them, and how one is turned into another."""
