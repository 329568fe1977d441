"""DingTalk's interactive cards: a reply as the variables of a template that the administrator has made.

https://open.dingtalk.com/document/orgapp/create-and-deliver-cards
https://open.dingtalk.com/document/orgapp/interactive-card-update-interface
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from bot.platforms.base import Outgoing

DELIVER_PATH: Final = "/v1.0/card/instances/createAndDeliver"
UPDATE_PATH: Final = "/v1.0/card/instances"
# As many as the template has places for; docs/platforms/dingtalk.md says how it is made.
MOST_BUTTONS: Final = 6
_PREFIX: Final = "chatops-"
_STAFF_ID: Final = 1


def track_id(route: Mapping[str, Any], message: Outgoing) -> str:
    """Our id of the card: the same for every try of one reply, and no other portal's or database's."""
    told = json.dumps([message.key, route], sort_keys=True) if message.key else secrets.token_hex()
    return _PREFIX + hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def is_card(external_id: str) -> bool:
    return external_id.startswith(_PREFIX)


def can_be_reached(route: Mapping[str, Any]) -> bool:
    """A private card is addressed to the person, who may have no staff id."""
    return bool(route.get("staff_id") if route.get("private") else route.get("conversation"))


def new_card(
    route: Mapping[str, Any], track: str, variables: dict[str, str], *, template: str, robot: str
) -> dict[str, Any]:
    """The body that makes and delivers it. Presses come by Stream: HTTP callbacks carry no proof we know."""
    place = _in_private if route.get("private") else _in_group
    return {
        "cardTemplateId": template,
        "outTrackId": track,
        "callbackType": "STREAM",
        "cardData": {"cardParamMap": variables},
        "userIdType": _STAFF_ID,
        **place(route, robot),
    }


def changed_card(track: str, variables: dict[str, str]) -> dict[str, Any]:
    return {
        "outTrackId": track,
        "cardData": {"cardParamMap": variables},
        "cardUpdateOptions": {"updateCardDataByKey": True},
        "userIdType": _STAFF_ID,
    }


def variables_of(text: str, message: Outgoing) -> dict[str, str]:
    """All of the template's variables: a button that is not there any more has an empty label."""
    variables = {"text": text}
    for slot in range(1, MOST_BUTTONS + 1):
        button = message.buttons[slot - 1] if slot <= len(message.buttons) else None
        variables[f"button_{slot}_label"] = button.label if button else ""
        variables[f"button_{slot}_token"] = button.token if button else ""
    return variables


def why_not_delivered(said: Mapping[str, Any]) -> str:
    """What DingTalk says where it took the call but showed nobody the card; "" where it did."""
    result = said.get("result")
    told = result.get("deliverResults") if isinstance(result, dict) else None
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    if said.get("success") is False or any(row.get("success") is False for row in rows):
        reasons = [str(row.get("errorMsg") or "") for row in rows]
        return " ".join(reasons).strip()[:200] or "not delivered"
    return ""


def _in_group(route: Mapping[str, Any], robot: str) -> dict[str, Any]:
    return {
        "openSpaceId": f"dtv1.card//IM_GROUP.{route.get('conversation')}",
        "imGroupOpenSpaceModel": {"supportForward": False},
        "imGroupOpenDeliverModel": {"robotCode": robot},
    }


def _in_private(route: Mapping[str, Any], robot: str) -> dict[str, Any]:
    return {
        "openSpaceId": f"dtv1.card//IM_ROBOT.{route.get('staff_id')}",
        "imRobotOpenSpaceModel": {"supportForward": False},
        "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", "robotCode": robot},
    }
