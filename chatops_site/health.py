"""/healthz and /readyz: whether the process lives, and whether it can do its work. They leak no versions."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from audit import triggers
from bot.engine import heartbeat


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, migrations, triggers and a worker are there; else 503 and which of them is not."""
    try:
        checks = {
            "database": True,
            "migrations": _migrated(),
            "triggers": not triggers.missing(connection),
            "worker": heartbeat.alive(timezone.now()),
        }
    except DatabaseError:
        checks = {"database": False}
    ready = all(checks.values())
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def _migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
