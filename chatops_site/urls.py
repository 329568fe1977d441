"""The portal's addresses; outside programs rely on them."""

from django.contrib import admin
from django.urls import path

from bot.hooks.views import ForgeWebhook
from bot.views import ChatWebhook
from chatops_site.health import healthz, readyz
from chatops_site.metrics import metrics

urlpatterns = [
    path("admin/", admin.site.urls),
    path("webhooks/chat/<str:bot>/", ChatWebhook.as_view(), name="chat_webhook"),
    path("webhooks/forge/<str:forge>/", ForgeWebhook.as_view(), name="forge_webhook"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]
