"""DingTalk: webhooks and Stream, markdown and cards."""
