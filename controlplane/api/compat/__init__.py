"""Older request shapes, turned into what is declared today; nothing is kept of them."""
