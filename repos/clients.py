"""The clients of stored forges and Jenkins servers, one each for all threads of the process."""

import threading
from typing import Final

from django.utils.module_loading import import_string

from repos.forges import FORGE_KINDS
from repos.forges.base import ForgeClient
from repos.jenkins import Jenkins
from repos.models import Forge, JenkinsServer

_lock: Final = threading.Lock()
_forges: Final[dict[int, tuple[tuple[str, ...], ForgeClient]]] = {}
_servers: Final[dict[int, tuple[tuple[str, ...], Jenkins]]] = {}


def forge_client(forge: Forge) -> ForgeClient:
    """Keeps its connections from call to call; a new one as soon as the forge's fields change."""
    key = (forge.kind, forge.base_url, forge.token, forge.ca_file)
    with _lock:
        kept = _forges.get(forge.pk)
        if kept is None or kept[0] != key:
            kind: type[ForgeClient] = import_string(FORGE_KINDS[forge.kind])
            kept = key, kind(base_url=forge.base_url, token=forge.token, ca_file=forge.ca_file)
            _forges[forge.pk] = kept
    return kept[1]


def jenkins_client(server: JenkinsServer) -> Jenkins:
    """Likewise for a Jenkins server."""
    key = (server.base_url, server.username, server.token, server.ca_file)
    with _lock:
        kept = _servers.get(server.pk)
        if kept is None or kept[0] != key:
            client = Jenkins(
                base_url=server.base_url,
                username=server.username,
                token=server.token,
                ca_file=server.ca_file,
            )
            kept = key, client
            _servers[server.pk] = kept
    return kept[1]
