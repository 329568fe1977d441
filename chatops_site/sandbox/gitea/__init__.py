"""A stand-in of Gitea's (and Forgejo's) API v1, and of the pages its links lead to.

https://docs.gitea.com/api
"""

from chatops_site.sandbox.gitea.hooks import make_hook
from chatops_site.sandbox.gitea.system import PAGES, GiteaSystem, build_system

__all__ = ["PAGES", "GiteaSystem", "build_system", "make_hook"]
