"""Which members and nodes can be asked: found out by asking them, and by what came of real calls."""
