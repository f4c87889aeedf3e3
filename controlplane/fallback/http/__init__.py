"""HTTP/1.1, both ways: the server that clients talk to, and the client that talks to providers.

Nothing here knows of routes, plugins or tokens.
"""
