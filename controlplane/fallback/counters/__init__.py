"""Counters of requests, tokens and connections: in this process, or in Redis as APISIX keeps them."""
