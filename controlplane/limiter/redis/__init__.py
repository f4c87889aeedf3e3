"""Counters in Redis or Valkey."""
