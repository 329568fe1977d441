"""A small bot on the vendor's own Stream client, run by a test: it prints what it gets, as lines of JSON.

The SDK reads DINGTALK_OPENAPI_ENDPOINT when it is imported, so it has a process of its own.
"""

import asyncio
import json
import logging
import os
from typing import Any

from dingtalk_stream import (
    AckMessage,
    CallbackHandler,
    CardCallbackMessage,
    ChatbotHandler,
    ChatbotMessage,
    Credential,
    DingTalkStreamClient,
    EventHandler,
)
from dingtalk_stream.card_replier import CardReplier

Answer = tuple[int, Any]


def tell(**content: Any) -> None:
    print(json.dumps(content), flush=True)


class Messages(ChatbotHandler):  # type: ignore[misc]  # the SDK has no types
    async def process(self, callback: Any) -> Answer:
        message = ChatbotMessage.from_dict(callback.data)
        (text,) = message.get_text_list()
        tell(heard=text.strip(), by=message.sender_staff_id, nick=message.sender_nick)
        answer = await asyncio.to_thread(self.reply_text, f"You said{text}", message)
        tell(replied=answer)
        return AckMessage.STATUS_OK, "OK"


class Cards(CallbackHandler):  # type: ignore[misc]
    async def process(self, callback: Any) -> Answer:
        pressed = CardCallbackMessage.from_dict(callback.data)
        tell(pressed=pressed.content["cardPrivateData"]["params"], by=pressed.user_id)
        replier = CardReplier(self.dingtalk_client, None)
        await asyncio.to_thread(
            replier.put_card_data, pressed.card_instance_id, {"text": "Pressed"}
        )
        return AckMessage.STATUS_OK, {}


class Events(EventHandler):  # type: ignore[misc]
    async def process(self, event: Any) -> Answer:
        tell(event=event.data)
        return AckMessage.STATUS_OK, "OK"


async def run() -> None:
    credential = Credential(os.environ["APP_KEY"], os.environ["APP_SECRET"])
    client = DingTalkStreamClient(credential, logging.getLogger("sdk"))
    client.register_callback_handler(ChatbotMessage.TOPIC, Messages())
    client.register_callback_handler(CallbackHandler.TOPIC_CARD_CALLBACK, Cards())
    client.register_all_event_handler(Events())
    await client.start()


if __name__ == "__main__":
    asyncio.run(run())
