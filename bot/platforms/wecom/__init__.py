"""WeCom: the app and the aibot, which share cryptography and accounts."""
