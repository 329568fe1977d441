"""Feishu and Lark: encrypted events and the long connection, cards."""
