"""The form of a bot: its platform's settings and secrets as fields of their own."""

from functools import partial
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms import PLATFORMS
from bot.platforms.base import Platform, Setting
from repos.forms.secrets import PREFIX, SecretField, SecretsForm
from repos.validators import validate_base_url

SETTING: Final = "setting_"
API_BASE: Final = "api_base"
# As the platforms' own consoles call them; a name that is not here is shown as it is.
LABELS: Final[dict[str, Any]] = {
    "agent_id": gettext_lazy("Agent id"),
    "aes_key": gettext_lazy("EncodingAESKey"),
    "aes_key_old": gettext_lazy("Previous EncodingAESKey"),
    "api_base": gettext_lazy("API address"),
    "app_id": gettext_lazy("App id"),
    "app_key": gettext_lazy("App key (client id)"),
    "app_secret": gettext_lazy("App secret (client secret)"),
    "app_secret_old": gettext_lazy("Previous app secret"),
    "app_token": gettext_lazy("App-level token"),
    "bot_id": gettext_lazy("Bot id"),
    "bot_name": gettext_lazy("Bot name"),
    "bot_open_id": gettext_lazy("The bot's open id"),
    "bot_token": gettext_lazy("Bot token"),
    "bot_user_id": gettext_lazy("The bot's user id"),
    "card_template": gettext_lazy("Card template id"),
    "corp_id": gettext_lazy("Corp id"),
    "encrypt_key": gettext_lazy("Encrypt key"),
    "encrypt_key_old": gettext_lazy("Previous encrypt key"),
    "forge": gettext_lazy("Forge"),
    "per_minute": gettext_lazy("Messages a minute"),
    "receive_id": gettext_lazy("Receive id"),
    "robot_code": gettext_lazy("Robot code"),
    "secret": gettext_lazy("Secret"),
    "signing_secret": gettext_lazy("Signing secret"),
    "signing_secret_old": gettext_lazy("Previous signing secret"),
    "team_id": gettext_lazy("Team id"),
    "tenant_key": gettext_lazy("Tenant key"),
    "token": gettext_lazy("Token"),
    "token_old": gettext_lazy("Previous token"),
    "verification_token": gettext_lazy("Verification token"),
}
HELP: Final[dict[str, Any]] = {
    "per_minute": gettext_lazy(
        "Empty: 20, after which DingTalk silences a robot. More if it grants yours more."
    ),
    "api_base": gettext_lazy("Empty: the vendor's own. Replies go to this host only."),
}
OLD: Final = "_old"
HELP_OF_OLD: Final = gettext_lazy("Accepted beside the new one while you change it; clear it then.")


class BotForm(SecretsForm):
    """Made for one platform by form_of()."""

    platform: ClassVar[str] = ""
    address_field = SETTING + API_BASE

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.instance.pk:
            self.instance.platform = self.platform
        for name in self._settings():
            self.initial[SETTING + name] = self.instance.settings.get(name, "")

    def read_secret(self, name: str) -> str:
        return str((self.instance.secrets or {}).get(name) or "")

    def write_secret(self, name: str, value: str) -> None:
        kept = dict(self.instance.secrets or {})
        kept.pop(name, None)
        self.instance.secrets = {**kept, name: value} if value else kept

    def column_of(self, name: str) -> str:
        return "secrets"

    def _post_clean(self) -> None:
        super()._post_clean()
        kept = dict(self.instance.settings)
        for name in self._settings():
            kept.pop(name, None)
            if value := self.cleaned_data.get(SETTING + name):
                kept[name] = value
        self.instance.settings = kept

    def _settings(self) -> list[str]:
        return [name.removeprefix(SETTING) for name in self.fields if name.startswith(SETTING)]


def platform_named(name: str) -> type[Platform] | None:
    return import_string(PLATFORMS[name]) if name in PLATFORMS else None


def form_of(name: str) -> type[BotForm]:
    """A form with the fields of that platform; without any for one that is gone."""
    kind = platform_named(name)
    settings = kind.settings if kind else ()
    secrets = kind.secrets if kind else ()
    fields = {SETTING + setting.name: _setting_field(setting) for setting in settings}
    hidden = {PREFIX + secret.name: _secret_field(secret) for secret in secrets}
    sent = tuple(secret.name for secret in secrets)
    return type("BotForm", (BotForm,), {**fields, **hidden, "platform": name, "secrets_sent": sent})


def label_of(name: str) -> Any:
    return LABELS.get(name, name)


def _setting_field(setting: Setting) -> forms.CharField:
    validators: list[Any] = [partial(_check_setting, name=setting.name)]
    if setting.name == API_BASE:
        validators.append(validate_base_url)
    return forms.CharField(
        label=label_of(setting.name),
        required=setting.required,
        max_length=300,
        validators=validators,
        help_text=HELP.get(setting.name, ""),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
    )


def _secret_field(secret: Setting) -> SecretField:
    return SecretField(
        label=label_of(secret.name),
        needed=secret.required,
        help_text=HELP_OF_OLD if secret.name.endswith(OLD) else "",
    )


def _check_setting(value: str, *, name: str) -> None:
    if value.startswith("env:"):
        raise ValidationError(
            _("Enter the value itself; env:NAME is read only from the configuration file.")
        )
    if not value.isprintable():
        raise ValidationError(
            _("%(name)s holds a character that cannot be seen. Copy it again.")
            % {"name": label_of(name)}
        )
