"""Who has approved a head: people at the forge and people through us, each human once, never the author."""

from bot.people.logins import people_of
from bot.runs.models import Run, RunState
from repos.forges.resources import PullRequest
from repos.models import Repository


def approvers(repository: Repository, pull: PullRequest, *, own_login: str) -> frozenset[str]:
    """Names of those who approved pull's current head. own_login is our token's: it speaks for people we know."""
    at_forge = {review.login for review in pull.reviews or () if review.accepted} - {own_login}
    names = people_of(repository.forge.name, [*at_forge, pull.author])
    author = names.get(pull.author, pull.author)
    here = Run.objects.filter(
        command="approve",
        state=RunState.SUCCEEDED,
        repository=repository,
        number=pull.number,
        sha=pull.head_sha,
    ).values_list("actor", flat=True)
    return frozenset({names.get(login, login) for login in at_forge} | set(here)) - {author}
