"""Values that are encrypted in the database."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.serializers import serialize
from django.db import connection, models
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings
from django.test.utils import isolate_apps

from chatops_site.kit.redaction import redact
from chatops_site.kit.secrets import (
    EncryptedField,
    EncryptedJSONField,
    WrongKey,
    fernet,
    rotate,
)

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))

with isolate_apps("django.contrib.contenttypes"):

    class Vault(models.Model):
        token = EncryptedField(blank=True, default="")
        secrets = EncryptedJSONField(blank=True, default=dict)

        objects: ClassVar[models.Manager[Any]] = models.Manager()

        class Meta:
            app_label = "contenttypes"
            db_table = "test_vault"

        def __str__(self) -> str:
            return f"vault {self.pk}"


@pytest.fixture
def table(db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE test_vault"
            " (id integer PRIMARY KEY, token text NOT NULL, secrets text NOT NULL)"
        )
    with override_settings(ENCRYPTION_KEYS=[OLD]):
        yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE test_vault")


def _column(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM test_vault WHERE id = 1")  # noqa: S608
        return str(cursor.fetchone()[0])


@pytest.mark.usefixtures("table")
def test_a_secret_comes_back_and_its_column_does_not_hold_it() -> None:
    Vault.objects.create(pk=1, token="glpat-令牌-1234567890")
    assert Vault.objects.get().token == "glpat-令牌-1234567890"
    assert "glpat" not in _column("token")
    assert _column("token").startswith("gAAAA")


@pytest.mark.usefixtures("table")
def test_a_dict_of_secrets_comes_back_and_its_column_holds_neither_names_nor_values() -> None:
    Vault.objects.create(pk=1, secrets={"app_secret": "值-abcdefgh"})
    assert Vault.objects.get().secrets == {"app_secret": "值-abcdefgh"}
    assert "app_secret" not in _column("secrets")


@pytest.mark.usefixtures("table")
def test_what_is_empty_stays_empty() -> None:
    Vault.objects.create(pk=1)
    assert (_column("token"), _column("secrets")) == ("", "")
    vault = Vault.objects.get()
    assert (vault.token, vault.secrets) == ("", {})


@pytest.mark.usefixtures("table")
def test_a_wrong_key_is_a_sentence_and_never_a_blank() -> None:
    Vault.objects.create(pk=1, token="first-secret")
    with (
        override_settings(ENCRYPTION_KEYS=[NEW]),
        pytest.raises(
            WrongKey, match=r"The value of contenttypes\.vault\.token cannot be decrypted"
        ),
    ):
        Vault.objects.get()


@pytest.mark.usefixtures("table")
def test_an_older_key_still_decrypts_and_rotation_lets_it_go() -> None:
    Vault.objects.create(pk=1, token="first-secret")
    with override_settings(ENCRYPTION_KEYS=[NEW, OLD]):
        assert Vault.objects.get().token == "first-secret"
        rotated = rotate(_column("token"))
    with override_settings(ENCRYPTION_KEYS=[NEW]):
        assert fernet().decrypt(rotated) == b"first-secret"


def test_rotating_a_token_of_a_lost_key_fails_in_a_sentence() -> None:
    with override_settings(ENCRYPTION_KEYS=[OLD]):
        token = fernet().encrypt(b"x").decode()
    with override_settings(ENCRYPTION_KEYS=[NEW]), pytest.raises(WrongKey, match="decrypted"):
        rotate(token)


@pytest.mark.parametrize("keys", [[], ["short"]])
def test_keys_that_are_none_are_refused_without_being_shown(keys: list[str]) -> None:
    with (
        override_settings(ENCRYPTION_KEYS=keys),
        pytest.raises(ImproperlyConfigured, match="one or more Fernet keys") as caught,
    ):
        fernet()
    assert "short" not in str(caught.value)


@pytest.mark.usefixtures("table")
def test_what_was_stored_or_read_is_redacted_from_then_on() -> None:
    Vault.objects.create(pk=1, token="plain-words-only", secrets={"key": "other-words-too"})
    assert redact("saw plain-words-only, other-words-too") == ("saw [redacted], [redacted]", 2)


def test_a_secret_is_in_no_repr_and_leaves_by_no_dump() -> None:
    vault = Vault(pk=1, token="plain-words-only", secrets={"key": "plain-words-too"})
    assert "plain-words" not in repr(vault)
    assert "plain-words" not in serialize("json", [vault])


def test_migrations_can_name_the_fields() -> None:
    text, imports = MigrationWriter.serialize(EncryptedField(blank=True, default=""))
    assert text == "chatops_site.kit.secrets.EncryptedField(blank=True, default='')"
    assert imports == {"import chatops_site.kit.secrets"}
