"""Registers the bot's pages with the admin; they are in the room desk."""

from bot.desk import bots, people, requests, runs

__all__ = ["bots", "people", "requests", "runs"]
