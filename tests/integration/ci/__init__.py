"""The kit for CI."""
