"""A stand-in of the Gitee API v5 and of the pages its links lead to.

https://gitee.com/api/v5/swagger
"""

from chatops_site.sandbox.gitee.hooks import make_hook
from chatops_site.sandbox.gitee.system import PAGES, GiteeSystem, build_system

__all__ = ["PAGES", "GiteeSystem", "build_system", "make_hook"]
