"""gunicorn's options for the portal: one process with threads, since SQLite has one writer anyway."""

import os

worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = 8
keepalive = 5
timeout = 30
graceful_timeout = 25
max_requests = 0
# gunicorn's own remote control is nobody's business here.
control_socket_disable = True
