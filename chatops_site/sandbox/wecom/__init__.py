"""WeCom's stand-ins: the app and the aibot."""
