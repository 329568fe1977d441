"""Every model of the bot, gathered from its rooms where Django looks for them."""

from bot.people.models import AccessRequest, Account, Grant, LinkCode, Person, Role, Team
from bot.platforms.models import Bot, Connection, Conversation, PlatformToken
from bot.runs.models import Button, Delivery, Effect, Heartbeat, Reply, Run

__all__ = [
    "AccessRequest",
    "Account",
    "Bot",
    "Button",
    "Connection",
    "Conversation",
    "Delivery",
    "Effect",
    "Grant",
    "Heartbeat",
    "LinkCode",
    "Person",
    "PlatformToken",
    "Reply",
    "Role",
    "Run",
    "Team",
]
