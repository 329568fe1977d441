"""Which addresses outgoing calls may go to."""

import socket
from collections.abc import Sequence
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from chatops_site.kit.addresses import (
    check_addresses,
    check_url,
    parse_allowance,
    parse_origin,
)
from chatops_site.kit.http import AddressRefused, Client

# Each leads to loopback, to a private network, to a metadata service, or is no base URL at all.
HOSTILE = (
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "http://2852039166/",
    "https://0xA9FEA9FE/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::127.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://0.0.0.0/",
    "https://0/",
    "https://10.0.0.8/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://localhost/",
    "https://localhost./",
    "https://api.localhost/",
    "http://good.example@127.0.0.1/",
    "https://good.example@evil.example/",
    "https://user:word@good.example/",
    "https://evil.example\\@good.example/",
    "https://127。0。0。1/",
    "https://①②⑦.0.0.1/",
    "https://good.example:0/",
    "https://good.example:65536/",
    "https://good.example:x/",
    "https://1.2.3.4.5/",
    "https://0x/",
    "https://good..example/",
    "https:///path",
    "https://[::1",
    "https://good.example]/",
    "https://good.example/\t",
    "https://good.example/?a=b",
    "https://good.example/#",
    "ftp://good.example/",
    "file:///etc/passwd",
    "gopher://good.example/",
    "good.example",
    "",
)


@pytest.mark.parametrize("url", HOSTILE)
@override_settings(OUTGOING_ALLOW=[])
def test_it_refuses_a_hostile_base_url_when_it_is_saved(url: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_url(url)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("url", HOSTILE)
@override_settings(OUTGOING_ALLOW=[])
def test_it_connects_nowhere_for_a_hostile_base_url(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, where: dialled.append(where))
    # Names are found at loopback here, so that no look-up leaves the machine.
    monkeypatch.setattr(socket, "getaddrinfo", _resolver(socket.getaddrinfo))
    with pytest.raises(AddressRefused):
        Client(url).get("/")
    assert dialled == []


def _resolver(real: Any) -> Any:
    def resolve(host: str, port: int, **about: Any) -> Sequence[Any]:
        numeric = host.replace(".", "").isdigit() or ":" in host
        return list(real(host if numeric else "127.0.0.1", port, **about))

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        "https://gitee.com/api/v5",
        "https://GITHUB.com",
        "https://gitlab.example:8443/api/v4/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://xn--fsqu00a.xn--0zwm56d/",
    ],
)
@override_settings(OUTGOING_ALLOW=[])
def test_it_takes_public_targets_over_https(url: str) -> None:
    check_url(url)


@override_settings(OUTGOING_ALLOW=[])
def test_it_refuses_plain_http_and_says_why() -> None:
    with pytest.raises(AddressRefused, match="plain http, where anybody on the way can read"):
        check_url("http://gitea.example")


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("127.0.0.1", "http://127.1:8080"),
        ("127.0.0.0/8", "http://localhost:3000"),
        ("10.0.0.0/8", "http://10.1.2.3"),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]"),
        ("::1", "http://[::1]:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("fd00::/8", "https://[fd00::5]"),
        ("Jenkins.internal", "http://jenkins.internal:8080"),
        ("jenkins.internal:8080", "http://jenkins.internal:8080"),
        ("localhost", "http://localhost:8080"),
    ],
)
def test_an_entry_of_outgoing_allow_opens_its_target(entry: str, url: str) -> None:
    with override_settings(OUTGOING_ALLOW=[entry]):
        check_url(url)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8081"),
        ("127.0.0.1", "http://127.0.0.2"),
        ("jenkins.internal:8080", "http://jenkins.internal:8081"),
        ("jenkins.internal", "http://evil.jenkins.internal"),
        ("10.0.0.0/8", "https://192.168.0.1"),
    ],
)
def test_an_entry_of_outgoing_allow_opens_nothing_else(entry: str, url: str) -> None:
    with override_settings(OUTGOING_ALLOW=[entry]), pytest.raises(AddressRefused):
        check_url(url)


@override_settings(OUTGOING_ALLOW=["jenkins.internal"])
def test_a_name_that_is_vouched_for_may_be_private_but_not_a_metadata_service() -> None:
    origin = parse_origin("http://jenkins.internal")
    check_addresses(origin, ["10.0.0.5"])
    with pytest.raises(AddressRefused, match=r"169\.254\.169\.254"):
        check_addresses(origin, ["169.254.169.254"])


@override_settings(OUTGOING_ALLOW=[])
def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(AddressRefused, match=r"leads to 127\.0\.0\.1, which is not a public"):
        check_addresses(parse_origin("https://split.example"), ["8.8.8.8", "127.0.0.1"])


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "a b", "host:port", "300.1.1.1", "", "http://x"])
def test_an_entry_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OUTGOING_ALLOW has the entry"):
        parse_allowance((entry,))


def test_the_host_header_names_the_port_only_when_it_is_not_the_usual_one() -> None:
    assert parse_origin("https://a.example/api/").netloc == "a.example"
    assert parse_origin("https://a.example:8443/").netloc == "a.example:8443"
    assert parse_origin("http://[::1]:81").netloc == "[::1]:81"
    assert parse_origin("https://a.example/api/v5/").path == "/api/v5"


@override_settings(OUTGOING_ALLOW=["10.0.0.0/8"])
def test_plain_http_to_a_name_is_judged_by_its_addresses() -> None:
    check_url("http://gitea.example")
    origin = parse_origin("http://gitea.example")
    check_addresses(origin, ["10.0.0.5"])
    with pytest.raises(AddressRefused, match="plain http"):
        check_addresses(origin, ["8.8.8.8"])
