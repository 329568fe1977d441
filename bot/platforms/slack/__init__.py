"""Slack: events, slash commands, presses and Socket Mode."""
