"""The WSGI application for gunicorn; a wrong setting ends the start in one sentence."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

# gunicorn's exit status for "the application cannot be loaded": it stops and does not start it again.
WORKER_BOOT_ERROR = 3

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatops_site.settings")
try:
    application = get_wsgi_application()
except ImproperlyConfigured as problem:
    sys.stderr.write(f"The portal cannot start: {problem}\n")
    sys.exit(WORKER_BOOT_ERROR)
