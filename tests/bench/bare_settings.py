"""The portal's settings with the bare view alone and no middleware."""

from chatops_site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.bare"
MIDDLEWARE = []
