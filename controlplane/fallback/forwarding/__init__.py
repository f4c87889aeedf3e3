"""Plain upstreams: a request goes on to a node as it came, with no model in between."""
