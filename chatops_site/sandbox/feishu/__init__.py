"""Feishu's stand-in."""
