"""Runbooks as notebooks: durable, approved, verifiable, rehearsable."""
