"""The embedded stack: every part that `ctl up` runs on one machine."""
