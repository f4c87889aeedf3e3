"""What an object and a plugin's configuration may look like."""
