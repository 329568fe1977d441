"""/healthz and /readyz: whether the process lives, and whether it can do its work. They leak no versions."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from audit import triggers
from bot.connect import reports
from bot.engine import heartbeat


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when all is there that the portal needs to do its work; else 503 and what is not.

    connections is true where no bot has an outgoing one.
    """
    now = timezone.now()
    try:
        checks = {
            "database": True,
            "migrations": _migrated(),
            "triggers": not triggers.missing(connection),
            "worker": heartbeat.alive(now),
            "connections": all(one.well for one in reports.of_bots(now)),
        }
    except DatabaseError:
        checks = {"database": False}
    ready = all(checks.values())
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def _migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
