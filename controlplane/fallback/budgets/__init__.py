"""What the plugin token-budget is made of: its configuration, its counters, its answers."""
