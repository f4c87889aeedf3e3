"""Keeps every gateway as it is declared: gather, plan, apply, again and again."""
