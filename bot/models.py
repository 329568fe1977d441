"""Every model of the bot, gathered from its rooms where Django looks for them."""

from bot.people.models import AccessRequest, Account, Grant, Person, Role, Team
from bot.platforms.models import Bot, Conversation
from bot.runs.models import Delivery, Effect, Heartbeat, Reply, Run

__all__ = [
    "AccessRequest",
    "Account",
    "Bot",
    "Conversation",
    "Delivery",
    "Effect",
    "Grant",
    "Heartbeat",
    "Person",
    "Reply",
    "Role",
    "Run",
    "Team",
]
