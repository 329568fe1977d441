"""The portal's admin site: Django's own, with an index that shows what needs a decision first."""

from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _


class PortalAdminSite(AdminSite):
    site_header = _("ChatOps portal")
    site_title = _("ChatOps portal")
    index_title = _("Overview")
