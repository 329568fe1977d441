"""Slack's stand-in."""
