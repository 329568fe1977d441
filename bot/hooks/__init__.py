"""Webhooks of forges: believed and written down (views), read at the forge and acted on (take)."""
