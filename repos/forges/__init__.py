"""The forge kinds there are: name → dotted path of its client. A new one is one file and one line here."""

from typing import Final

FORGE_KINDS: Final[dict[str, str]] = {
    "gitee": "repos.forges.gitee.Gitee",
    "github": "repos.forges.github.GitHub",
    "gitlab": "repos.forges.gitlab.GitLab",
    "gitea": "repos.forges.gitea.Gitea",
}
