"""The fallback gateway: takes what APISIX takes, and enforces it alike, where no APISIX runs."""
