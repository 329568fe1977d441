"""A stand-in of GitHub Enterprise's REST API, of one GraphQL query, and of the pages links lead to.

https://docs.github.com/en/enterprise-server/rest
"""

from chatops_site.sandbox.github.hooks import make_hook
from chatops_site.sandbox.github.system import PAGES, GitHubSystem, build_system

__all__ = ["PAGES", "GitHubSystem", "build_system", "make_hook"]
