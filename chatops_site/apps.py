"""The wiring as Django apps: the admin site, and the portal's own management commands and templates."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalAdminConfig(AdminConfig):
    default_site = "chatops_site.admin_site.PortalAdminSite"


class ChatopsSiteConfig(AppConfig):
    name = "chatops_site"
