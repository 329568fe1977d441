"""DingTalk's interactive cards: made of a template and its variables, changed in place, pressed.

https://open.dingtalk.com/document/orgapp/create-and-deliver-cards
https://open.dingtalk.com/document/orgapp/interactive-card-update-interface
"""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.stand import ChatStand
from chatops_site.sandbox.talk import CONVERSATIONS, PEOPLE, Message, Person, find_person

TEMPLATE = "demo-card-template.schema"
MOST_BUTTONS = 6
_SPACE = re.compile(r"dtv1\.card//(IM_GROUP|IM_ROBOT)\.(.+)")

Arguments = dict[str, Any]
Refuse = Callable[[int, str, str], Response]


@dataclass
class _Card:
    message: Message
    space_type: str
    space_id: str
    variables: dict[str, str]


class Cards:
    """Cards of one published template, which shows `text` and the buttons button_1 to button_6."""

    def __init__(self, stand: ChatStand, *, robot_code: str, corp: str, refuse: Refuse) -> None:
        self._stand = stand
        self._robot_code, self._corp, self._refuse = robot_code, corp, refuse
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self._cards: dict[str, _Card] = {}
        self.is_permitted = True

    def create_and_deliver(self, content: Arguments) -> Response:
        refusal = self._refusal(content)
        if refusal is not None:
            return refusal
        track, space_type, space_id = str(content["outTrackId"]), *_space(content)
        place = _place(space_type, space_id)
        if not place:
            return _delivered(track, space_type, space_id, "spaceId 无效")
        with self._lock:
            # Whether DingTalk takes the second one of an outTrackId for the first is not documented.
            if track not in self._cards:
                self._cards[track] = self._put_up(content, track, place)
        return _delivered(track, space_type, space_id)

    def update(self, content: Arguments) -> Response:
        """Of the variables those that are named; the others stay."""
        variables = _variables(content)
        card = self._cards.get(str(content.get("outTrackId")))
        if not self.is_permitted:
            return self._not_permitted()
        if variables is None:
            return self._refuse(400, "param.cardPublicDataEmpty", "卡片公共数据为空")
        if card is None:
            return self._refuse(400, "param.outTrackIdNotExist", "outTrackId 不存在")
        card.variables.update(variables)
        self._stand.bot_changes(card.message, **_shown(card.variables))
        return as_json({"success": True, "result": True})

    def pressed(self, person: Person, n: int, button: str) -> tuple[Message, Arguments]:
        """The card's message and what its callback says. ValueError where there is no such button."""
        for track, card in self._cards.items():
            if card.message["n"] == n:
                slot = _slot(card, button)
                return card.message, self._callback(person, track, card, slot)
        raise ValueError(f"Message {n} is no card.")

    def _refusal(self, content: Arguments) -> Response | None:
        """The codes are DingTalk's where it documents them."""
        if not self.is_permitted:
            return self._not_permitted()
        if content.get("cardTemplateId") != TEMPLATE:
            return self._refuse(400, "param.cardTemplateIdNotExist", "卡片模板不存在")
        if not content.get("outTrackId"):
            return self._refuse(400, "param.outTrackIdEmpty", "业务标识 outTrackId 为空")
        if _variables(content) is None or content.get("callbackType") != "STREAM":
            return self._refuse(400, "param.invalid", "无效参数")
        if not self._names_robot(content):
            return self._refuse(400, "chatbotNotFound", "机器人不存在")
        return None

    def _not_permitted(self) -> Response:
        code = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
        return self._refuse(403, code, "应用尚未开通所需的权限：[Card.Instance.Write]")

    def _names_robot(self, content: Arguments) -> bool:
        models = (
            content.get(name) for name in ("imGroupOpenDeliverModel", "imRobotOpenDeliverModel")
        )
        codes = [one.get("robotCode") for one in models if isinstance(one, dict)]
        return codes == [self._robot_code]

    def _put_up(self, content: Arguments, track: str, place: str) -> _Card:
        variables = _variables(content) or {}
        message = self._stand.bot_says(place, by="card", card=track, **_shown(variables))
        return _Card(message, *_space(content), variables)

    def _callback(self, person: Person, track: str, card: _Card, slot: int) -> Arguments:
        token = card.variables[f"button_{slot}_token"]
        content = {
            "cardPrivateData": {"actionIds": [f"button_{slot}"], "params": {"button": token}}
        }
        return {
            "extension": "{}",
            "corpId": self._corp,
            "userId": person.staff_id,
            "userIdType": 1,
            "type": "actionCallback",
            "spaceType": card.space_type,
            "spaceId": card.space_id,
            "outTrackId": track,
            "content": json.dumps(content, ensure_ascii=False),
            "value": "{}",
        }


def content_of(request: Request) -> Arguments:
    try:
        content = request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _variables(content: Arguments) -> dict[str, str] | None:
    """A map of texts to texts, as the template wants; None where it is none."""
    told = content.get("cardData")
    variables = told.get("cardParamMap") if isinstance(told, dict) else None
    if not isinstance(variables, dict):
        return None
    return dict(variables) if all(isinstance(one, str) for one in variables.values()) else None


def _shown(variables: dict[str, str]) -> Arguments:
    """What the demo's template makes of its variables: a button without a label is not shown."""
    buttons = [
        {
            "id": variables.get(f"button_{slot}_token", ""),
            "label": label,
            "tone": "",
            "spent": False,
        }
        for slot in range(1, MOST_BUTTONS + 1)
        if (label := variables.get(f"button_{slot}_label", ""))
    ]
    return {"markdown": variables.get("text", ""), "buttons": buttons}


def _slot(card: _Card, button: str) -> int:
    for slot in range(1, MOST_BUTTONS + 1):
        label = card.variables.get(f"button_{slot}_label")
        if label and button and button in (label, card.variables.get(f"button_{slot}_token")):
            return slot
    raise ValueError(f"Message {card.message['n']} has no button {button!r}.")


def _space(content: Arguments) -> tuple[str, str]:
    """Kind and id of where it goes; of no kind where that cannot be read."""
    found = _SPACE.fullmatch(str(content.get("openSpaceId")))
    return (found[1], found[2]) if found else ("", "")


def _place(space_type: str, space_id: str) -> str:
    """The conversation's key; "" for one that the robot is not in."""
    if space_type == "IM_GROUP":
        return next((one.id for one in CONVERSATIONS if one.id == space_id and not one.private), "")
    known = [one.staff_id for one in PEOPLE]
    return f"cid-private-{find_person(space_id).id}" if space_id in known else ""


def _delivered(track: str, space_type: str, space_id: str, problem: str = "") -> Response:
    told = {"spaceType": space_type, "spaceId": space_id, "success": not problem}
    result = {"outTrackId": track, "deliverResults": [{**told, "errorMsg": problem}]}
    return as_json({"success": True, "result": result})
