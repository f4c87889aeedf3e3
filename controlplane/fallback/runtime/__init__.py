"""A request on its way: its context and variables, the route it takes, the phases it runs through."""
