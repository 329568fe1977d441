"""The settings of the test suite: production's, with throw-away values for what has no default."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)
os.environ.setdefault("ENCRYPTION_KEYS", "ZmFrZS1rZXktZm9yLXRlc3RzLW9ubHktMzItYnl0ZXM=")
os.environ.setdefault("DATABASE_URL", "sqlite:///var/tests.sqlite3")
os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")
os.environ.setdefault("OUTGOING_ALLOW", "127.0.0.1")
os.environ.setdefault("HTTPS", "false")
os.environ.setdefault("LANGUAGE_CODE", "en")

from chatops_site.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"] == "chatops_site.kit.sqlite":
    DATABASES["default"]["TEST"] = {"NAME": ":memory:"}
