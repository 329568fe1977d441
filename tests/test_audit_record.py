"""The pen of the record: what record() writes, takes out, cuts and refuses."""

import hashlib
import math
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.test.utils import isolate_apps

from audit import models as audit_models
from audit.changes import SYSTEM, Actor, record_change, snapshot
from audit.record import ActorKind, Entry, Event, Fact, OutsideTransaction, record
from chatops_site.kit.secrets import EncryptedField, EncryptedJSONField

TOKEN = "glpat-" + "A1b2C3d4E5f6G7h8J9k0"


def write(**facts: Any) -> Entry:
    """One entry as the database gives it back."""
    (entry,) = record(Fact(event=Event.COMMAND_RECEIVED, **facts))
    return Entry.objects.get(seq=entry.seq)


def raw_rows() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM audit_entry")
        return repr(cursor.fetchall())


def test_it_refuses_to_write_outside_a_transaction() -> None:
    with pytest.raises(OutsideTransaction, match=r"transaction\.atomic"):
        record(Fact(event=Event.COMMAND_RECEIVED))


@pytest.mark.django_db
def test_it_keeps_who_what_where_and_when() -> None:
    entry = write(
        actor_kind=ActorKind.CHAT,
        platform="dingtalk",
        account="user123",
        person="张三",
        text="／merge　２３３",
        canonical="/merge 233",
        run=7,
        number=233,
        outcome="queued",
        external={"queue": 12, "ok": True, "none": None},
    )

    assert (entry.person, entry.account, entry.platform) == ("张三", "user123", "dingtalk")
    assert (entry.text, entry.canonical, entry.run) == ("／merge　２３３", "/merge 233", 7)
    assert entry.external == {"queue": 12, "ok": True, "none": None}
    assert entry.at.tzinfo is not None
    assert entry.schema_version == 1


@pytest.mark.django_db
def test_several_facts_keep_their_order_and_go_by_one_statement(
    django_assert_num_queries: Any,
) -> None:
    with django_assert_num_queries(1):
        first, second = record(
            Fact(event=Event.COMMAND_RECEIVED, run=1), Fact(event=Event.ACCESS_ALLOWED, run=1)
        )

    assert first.seq < second.seq
    assert [entry.event for entry in Entry.objects.order_by("seq")] == [
        "command.received",
        "access.allowed",
    ]
    assert first.event_id != second.event_id


@pytest.mark.django_db
def test_hundreds_of_facts_at_once_are_all_kept() -> None:
    entries = record(*(Fact(event=Event.CONFIG_CHANGED, number=n) for n in range(350)))

    assert [entry.seq for entry in entries] == sorted(entry.seq for entry in entries)
    assert list(Entry.objects.order_by("seq").values_list("number", flat=True)) == list(range(350))


@pytest.mark.django_db
def test_no_facts_write_nothing() -> None:
    assert record() == []


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["text", "detail", "canonical"])
def test_a_pasted_token_never_reaches_the_database(column: str) -> None:
    entry = write(**{column: f"/deploy myservice {TOKEN}"})

    assert getattr(entry, column) == "/deploy myservice [redacted]"
    assert entry.redactions == 1
    assert TOKEN not in raw_rows()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    [
        {"url": "https://bot:hunter22@gitee.com/x"},
        {"deep": [{"deeper": {"header": f"Bearer {TOKEN}"}}]},
        {f"key {TOKEN}": "x"},
        {"token": "plain-but-named"},
        {"headers": {"Authorization": "anything-at-all"}},
    ],
)
def test_secrets_inside_json_are_taken_out(value: dict[str, Any]) -> None:
    entry = write(external=value, changes={"address": {"old": "", "new": TOKEN}})

    assert entry.redactions == 2
    rows = raw_rows()
    assert not any(word in rows for word in (TOKEN, "hunter22", "plain-but-", "anything-"))


@pytest.mark.django_db
def test_a_secret_across_the_cut_is_taken_out_before_the_cut() -> None:
    entry = write(text="a" * 990 + " " + TOKEN)

    assert TOKEN[:9] not in entry.text
    assert len(entry.text) <= 1_000


@pytest.mark.django_db
def test_a_long_text_leaves_its_beginning_its_length_and_its_digest() -> None:
    text = "长" * 5_000
    entry = write(text=text)

    assert entry.text == "长" * 1_000
    assert entry.text_length == 5_000
    assert entry.text_digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "kept"),
    [("a\x00b", "a\\x00b"), ("\ud800x", "\\ud800x"), ("👍 好\x00", "👍 好\\x00"), ("a\nb", "a\nb")],
)
def test_what_databases_refuse_becomes_visible(typed: str, kept: str) -> None:
    entry = write(text=typed, account_name=typed, detail=typed, external={typed: typed})

    assert (entry.text, entry.account_name, entry.detail) == (kept, kept, kept)
    assert entry.external == {kept: kept}


@pytest.mark.django_db
def test_short_columns_are_cut_to_their_width() -> None:
    entry = write(account_name="n" * 1_000, sha="f" * 200, source_ip="9" * 500)

    assert (len(entry.account_name), len(entry.sha), len(entry.source_ip)) == (200, 64, 64)


@pytest.mark.django_db
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_become_words(number: float) -> None:
    assert write(external={"n": number}).external == {"n": str(number)}


@pytest.mark.django_db
def test_json_is_cut_in_depth_width_and_length() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _level in range(50):
        inner["d"] = inner = {}
    entry = write(external={"deep": deep, "wide": list(range(9_999)), "long": "x" * 99_999})

    assert "…" in repr(entry.external["deep"])
    assert len(entry.external["wide"]) == 100
    assert len(entry.external["long"]) == 1_000


@pytest.mark.django_db
def test_an_entry_goes_with_the_transaction_it_belongs_to() -> None:
    def fail_after_recording() -> None:
        with transaction.atomic():
            record(Fact(event=Event.EFFECT_INTENDED))
            raise LookupError

    with pytest.raises(LookupError):
        fail_after_recording()

    assert not Entry.objects.exists()


def test_the_vocabulary_is_stable() -> None:
    assert " ".join(Event.values) == (
        "webhook.rejected signature.reused message.ignored command.received command.refused"
        " access.allowed access.denied run.queued run.claimed gates.decided effect.intended"
        " effect.settled effect.unknown run.finished reply.sent reply.failed forge.event"
        " approval.voided config.changed login.ok login.failed secret.rotated security.sampled"
    )


def test_no_column_points_at_another_table() -> None:
    assert not [field for field in Entry._meta.get_fields() if field.is_relation]


def test_every_fact_has_a_column() -> None:
    columns = {field.name for field in audit_models.Entry._meta.concrete_fields}

    assert set(Fact.__dataclass_fields__) < columns


@isolate_apps("audit")
def forge_model() -> Any:
    class Forge(models.Model):
        name = models.CharField(max_length=9)
        base_url = models.CharField(max_length=99)
        token = EncryptedField()
        more = EncryptedJSONField()
        password = models.CharField(max_length=9)
        settings = models.JSONField()
        since = models.DateField(null=True)

        class Meta:
            app_label = "audit"

        def __str__(self) -> str:
            return self.name

    return Forge


SECRETIVE = {"token": "s3cret-A", "more": {"k": "s3cret-B"}, "password": "s3cret-C"}


def test_a_snapshot_tells_of_secrets_only_that_they_are_set() -> None:
    taken = snapshot(forge_model()(name="gitee", settings={"b": "值", "a": 1}, **SECRETIVE))

    assert taken == {
        "id": "",
        "name": "gitee",
        "base_url": "",
        "token": "set",
        "more": "set",
        "password": "set",
        "settings": '{"a": 1, "b": "值"}',
        "since": "",
    }
    assert "s3cret" not in repr(taken)


def moved(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    forge = forge_model()
    (entry,) = record_change(
        actor=Actor(ActorKind.PORTAL, username="wang"),
        before=snapshot(forge(name="gitee", **before)),
        after=snapshot(forge(name="gitea", **after)),
        target_kind="forge",
        target="gitea",
    )
    changes: dict[str, Any] = Entry.objects.get(seq=entry.seq).changes
    assert changes.pop("name") == {"old": "gitee", "new": "gitea"}
    return changes


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("", "s3cret-new", {"token": {"old": "", "new": "set"}}),
        ("s3cret-old", "s3cret-new", {"token": {"old": "set", "new": "changed"}}),
        ("s3cret-old", "", {"token": {"old": "set", "new": "cleared"}}),
        ("s3cret-old", "s3cret-old", {}),
    ],
)
def test_a_change_of_a_secret_is_set_changed_or_cleared(
    before: str, after: str, told: dict[str, Any]
) -> None:
    assert moved({"token": before}, {"token": after}) == told
    assert "s3cret" not in raw_rows()


@pytest.mark.django_db
def test_a_password_inside_an_address_is_taken_out_of_a_change() -> None:
    changes = moved({"base_url": ""}, {"base_url": "https://bot:hunter22@gitee.com/"})

    assert changes == {"base_url": {"old": "", "new": "https://[redacted]@gitee.com/"}}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [({}, {"a": "1"}, "added"), ({"a": "1"}, {"a": "2"}, "changed"), ({"a": "1"}, {}, "removed")],
)
def test_a_change_says_whether_the_thing_is_new_or_gone(
    before: dict[str, str], after: dict[str, str], reason: str
) -> None:
    (entry,) = record_change(
        actor=SYSTEM, before=before, after=after, target_kind="service", target="myservice"
    )

    assert (entry.event, entry.reason, entry.actor_kind) == ("config.changed", reason, "system")
    assert (entry.target_kind, entry.target) == ("service", "myservice")


@pytest.mark.django_db
def test_nothing_changed_is_nothing_to_record() -> None:
    same = {"a": "1"}

    assert record_change(actor=SYSTEM, before=same, after=same, target_kind="x", target="y") == []
    assert not Entry.objects.exists()
