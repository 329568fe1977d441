"""Block Kit as the Slack stand-in reads it: checked as Slack does, and told in the page's own shape.

https://docs.slack.dev/reference/block-kit/blocks
"""

import re
from collections.abc import Callable
from typing import Any

from chatops_site.sandbox.talk import PEOPLE

_MOST_BLOCKS = 50
_LONGEST_SECTION = 3_000
_LONGEST_TOGETHER = 13_000
_LONGEST_TEXT = 40_000
_MOST_ELEMENTS = 25
_LONGEST_VALUE = 2_000
_LONGEST_LABEL = 75
_LONGEST_ACTION = 255
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}
_TOKEN = re.compile(
    r"```\n?(?P<block>.*?)\n?```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<address>https?://[^|<>\s]+)\|(?P<label>[^<>]*)>"
    r"|<@(?P<user>[A-Z0-9]+)>"
    r"|<(?P<other>[^<>\n]+)>"
    r"|(?<!\S)\*(?P<bold>[^*\n]+)\*(?!\w)"
    r"|&(?P<entity>amp|lt|gt);"
    r"|(?P<mark>[\\`*_\[\]~<>])",
    re.DOTALL,
)

Arguments = dict[str, Any]


def user_id(person: str) -> str:
    return f"U0{person.upper()}"


def problem_of(content: Arguments) -> str:
    """Slack's word for what is wrong with a message; "" when nothing is."""
    blocks = content.get("blocks") or []
    text = content.get("text")
    if not blocks and not text:
        return "no_text"
    if text is not None and (not isinstance(text, str) or len(text) > _LONGEST_TEXT):
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > _MOST_BLOCKS:
        return "invalid_blocks"
    checks = [_CHECKS.get(_kind(block)) for block in blocks]
    if not all(check and check(block) for check, block in zip(checks, blocks, strict=True)):
        return "invalid_blocks"
    together = sum(len(text) for text in _texts(blocks))
    return "msg_blocks_too_long" if together > _LONGEST_TOGETHER else ""


def shown(content: Arguments) -> Arguments:
    """What the page shows of a message that is right."""
    blocks = content.get("blocks") or []
    written = "\n".join(_texts(blocks)) if blocks else str(content.get("text", ""))
    mentioned = re.findall(r"<@([A-Z0-9]+)>", written)
    return {
        # The page tells by `mentions` whom it is for, and by the first sign how it went.
        "markdown": _markdown(re.sub(r"\A<@[A-Z0-9]+>\s*", "", written)),
        "mrkdwn": written,
        "notice": str(content.get("text", "")),
        "buttons": [_button(element) for element in _elements(blocks)],
        "mentions": [one.id for one in PEOPLE if user_id(one.id) in mentioned],
        # Of what would call many people, or point somewhere: a test looks that nobody could.
        "specials": re.findall(r"<([!#][^<>]*)>", written),
    }


def _kind(block: object) -> str:
    return str(block.get("type")) if isinstance(block, dict) else ""


def _is_section(block: Arguments) -> bool:
    text = block.get("text")
    if not isinstance(text, dict) or text.get("type") not in ("mrkdwn", "plain_text"):
        return False
    return isinstance(text.get("text"), str) and 0 < len(text["text"]) <= _LONGEST_SECTION


def _is_actions(block: Arguments) -> bool:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 0 < len(elements) <= _MOST_ELEMENTS:
        return False
    names = [one.get("action_id") for one in elements if isinstance(one, dict)]
    return len(set(names)) == len(elements) and all(_is_button(one) for one in elements)


def _is_button(element: Arguments) -> bool:
    text, value = element.get("text"), element.get("value")
    if element.get("type") != "button" or not isinstance(text, dict):
        return False
    label = text.get("text")
    return (
        text.get("type") == "plain_text"
        and isinstance(label, str)
        and 0 < len(label) <= _LONGEST_LABEL
        and isinstance(value, str)
        and len(value) <= _LONGEST_VALUE
        and len(str(element.get("action_id"))) <= _LONGEST_ACTION
        and element.get("style") in (None, "primary", "danger")
    )


_CHECKS: dict[str, Callable[[Arguments], bool]] = {
    "section": _is_section,
    "actions": _is_actions,
    "divider": lambda block: True,
}


def _texts(blocks: list[Arguments]) -> list[str]:
    return [block["text"]["text"] for block in blocks if block["type"] == "section"]


def _elements(blocks: list[Arguments]) -> list[Arguments]:
    return [
        one for block in blocks if block["type"] == "actions" for one in block.get("elements", [])
    ]


def _button(element: Arguments) -> Arguments:
    return {
        "id": element["value"],
        "label": element["text"]["text"],
        "tone": element.get("style", ""),
        "action_id": element["action_id"],
        "spent": False,
    }


def _markdown(written: str) -> str:
    """mrkdwn in the words of the page."""
    return _TOKEN.sub(_translated, written)


def _translated(found: re.Match[str]) -> str:
    if found["block"] is not None:
        return f"```\n{_plain(found['block'])}\n```"
    if found["code"] is not None:
        return f"`{_plain(found['code'])}`"
    if found["address"] is not None:
        return f"[{_escaped(_plain(found['label']))}]({_plain(found['address'])})"
    if found["user"] is not None:
        names = {user_id(one.id): one.name for one in PEOPLE}
        return f"@{names.get(found['user'], found['user'])}"
    if found["bold"] is not None:
        return f"**{_markdown(found['bold'])}**"
    if found["entity"] is not None:
        return _escaped(_ENTITIES[found["entity"]])
    return _escaped(found[0])


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", text)
