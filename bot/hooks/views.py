"""POST /webhooks/forge/<forge>/: verify, write down, answer. What it says is read at the forge later."""

import logging
from typing import Final

from django.db import Error, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.record import Event
from bot.runs import wake
from bot.runs.models import ForgeHook, HookState
from bot.views import note, read_body
from chatops_site.kit.failpoints import reach
from repos.forges import FORGE_KINDS
from repos.forges.base import ForgeClient
from repos.forges.events import ForgeEvent, Happened, Hook, HookRejected
from repos.models import Forge

logger = logging.getLogger(__name__)

# What makes a worker look at the forge; everything else is only noted.
WORTH_A_LOOK: Final = frozenset({Happened.COMMENTED, Happened.PUSHED, Happened.MERGED})


class ForgeWebhook(APIView):
    """Whatever is not authentic gets an empty 401, known forge or not; a repeat changes nothing."""

    authentication_classes = ()
    permission_classes = ()
    http_method_names = ["post"]

    def post(self, request: Request, forge: str) -> HttpResponse:
        django = request._request
        try:
            return _answered(django, forge)
        except HookRejected as rejected:
            note(f"forge {forge}", rejected.reason, django, Event.WEBHOOK_REJECTED)
            return HttpResponse(status=rejected.status)
        except Error as problem:
            logger.error("forge %s: a webhook could not be written down: %s", forge, problem)
            return HttpResponse(status=503)


def _answered(request: HttpRequest, name: str) -> HttpResponse:
    body = read_body(request, HookRejected)
    forge = Forge.objects.filter(name=name).first()
    if forge is None:
        raise HookRejected("unknown_forge")
    headers = {key.lower(): value for key, value in request.headers.items()}
    kind: type[ForgeClient] = import_string(FORGE_KINDS[forge.kind])
    event = kind.receive(Hook(headers, body), secret=forge.webhook_secret, now=timezone.now())
    _write_down(forge, event, request.META.get("REMOTE_ADDR", ""))
    return HttpResponse()


def _write_down(forge: Forge, event: ForgeEvent, source_ip: str) -> None:
    now = timezone.now()
    hook = ForgeHook(
        forge=forge,
        delivery=event.delivery[:100],
        signature_digest=event.signature_digest or None,
        happened=event.happened,
        path=event.path[:200],
        number=event.number,
        comment_id=event.comment_id[:40],
        text_digest=event.text_digest,
        told=event.told[:80],
        source_ip=source_ip,
        state=HookState.WAITING if event.happened in WORTH_A_LOOK else HookState.IGNORED,
        received_at=now,
        due_at=now,
    )
    try:
        with transaction.atomic():
            hook.save()
    except IntegrityError:
        _check_repeat(forge, event)
        return
    reach("hook written")
    if hook.state == HookState.WAITING:
        wake.ready(0)


def _check_repeat(forge: Forge, event: ForgeEvent) -> None:
    """A delivery that came before is fine; another one under a signature that was used is not."""
    if ForgeHook.objects.filter(forge=forge, delivery=event.delivery[:100]).exists():
        return
    raise HookRejected("signature_reused")
