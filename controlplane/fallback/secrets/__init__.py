"""Texts of configurations that stand for secrets: in the environment, in Vault, at AWS or at Google."""
