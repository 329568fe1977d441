"""A stand-in of the GitLab API v4 and of the pages its links lead to.

https://docs.gitlab.com/api/rest/
"""

from chatops_site.sandbox.gitlab.hooks import make_hook
from chatops_site.sandbox.gitlab.system import PAGES, GitLabSystem, build_system

__all__ = ["PAGES", "GitLabSystem", "build_system", "make_hook"]
