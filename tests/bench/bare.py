"""The yardstick: a Django view that does nothing but insert one row on the same database."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from bot.models import Delivery


def insert(request: HttpRequest) -> HttpResponse:
    Delivery.objects.create(
        bot_id=1,
        message_id=uuid.uuid4().hex,
        body_digest="0" * 64,
        at=timezone.now(),
    )
    return HttpResponse(headers={"Content-Length": "0"})


urlpatterns = [path("bare/", insert)]
