"""Drivers that read and write a gateway."""
