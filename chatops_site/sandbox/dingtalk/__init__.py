"""DingTalk's stand-in."""
