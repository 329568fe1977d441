"""/help and /whoami: what you may do here, and who the portal takes you for."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import Argument, Attempt, Command, Done, Kind, Refusal, Spec, Step
from bot.commands.registry import specs
from bot.people.models import Account, Person
from bot.people.permissions import GrantFact, covers_command, facts_of
from bot.wording import BLOCKED, code, escape, lines


class Help(Command):
    spec = Spec(
        verb="help",
        summary=gettext_lazy("shows what you may do here"),
        arguments=(Argument("command", Kind.COMMAND),),
        aliases=("帮助", "?"),
        examples=("/help", "/help merge", "/帮助"),
        open_to_all=True,
    )

    def step(self, attempt: Attempt) -> Step:
        wanted = attempt.run.arguments.get("command")
        grants = facts_of(attempt.run.person_id)
        allowed = [spec for spec in specs() if _allowed(spec, grants)]
        if wanted:
            return Done(self._one(wanted, allowed))
        first = _("**What you may do here**")
        shown = [f"{code(spec.usage)} {spec.summary}" for spec in allowed]
        return Done(lines(first, *shown, _("`/help merge` shows one command with examples")))

    @staticmethod
    def _one(verb: str, allowed: list[Spec]) -> str:
        """Only of what one may do: help says as little of the rest as everything else."""
        for spec in allowed:
            if spec.verb == verb:
                also = _("Also: %(words)s") % {"words": " ".join(map(code, spec.aliases))}
                examples = [f"· {code(example)}" for example in spec.examples]
                return lines(
                    f"**{code(spec.usage)}** {spec.summary}",
                    *examples,
                    also if spec.aliases else "",
                )
        text = _("%(mark)s You have no command %(verb)s here. `/help` shows what you may do.")
        raise Refusal(text % {"mark": BLOCKED, "verb": code("/" + verb)}, reason="no_such_command")


def _allowed(spec: Spec, grants: tuple[GrantFact, ...]) -> bool:
    return spec.open_to_all or any(covers_command(grant, spec.verb) for grant in grants)


class WhoAmI(Command):
    spec = Spec(
        verb="whoami",
        summary=gettext_lazy(
            "shows your person, accounts and roles, and the ids an operator needs"
        ),
        aliases=("我是谁",),
        examples=("/whoami", "/我是谁"),
        open_to_all=True,
    )

    def step(self, attempt: Attempt) -> Step:
        run = attempt.run
        here = _("Your account: %(platform)s %(account)s") % {
            "platform": run.platform,
            "account": code(run.account or _("(none told by the platform)")),
        }
        tenant = _("Tenant: %(tenant)s") % {"tenant": code(run.tenant)} if run.tenant else ""
        place = (
            _("Conversation: %(id)s") % {"id": code(run.conversation)} if run.conversation else ""
        )
        if run.person is None:
            return Done(lines(_("I do not know this account yet."), here, tenant, place))
        return Done(lines(*_person(run.person), here, tenant, place, *_grants(run.person)))


def _person(person: Person) -> list[str]:
    accounts = Account.objects.filter(person=person)
    logins = [f"{forge} {login}" for forge, login in person.forge_logins.items()]
    names = [f"{account.platform} {account.external_id}" for account in accounts]
    return [
        f"**{escape(person.name)}** ({escape(person.username)})",
        _("Accounts: %(names)s") % {"names": escape(", ".join(names), longest=300)}
        if names
        else "",
        _("Forge logins: %(names)s") % {"names": escape(", ".join(logins), longest=300)}
        if logins
        else "",
    ]


def _grants(person: Person) -> list[str]:
    grants = facts_of(person.pk)
    if not grants:
        return [_("You have no role yet; an operator gives one in the portal, under Grants.")]
    return [f"· {escape(grant.role)} · {escape(grant.scope)}" for grant in grants]
