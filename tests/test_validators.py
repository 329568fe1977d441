"""What repos stores about forges, Jenkins and jobs: what is let in, and what one reads else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from repos.validators import (
    validate_aliases,
    validate_base_url,
    validate_ca_file,
    validate_checks,
    validate_job_path,
    validate_parameters,
    validate_repository_path,
)


def refusal(validate: Callable[[Any], None], value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        validate(value)
    return str(caught.value.messages[0])


@pytest.mark.parametrize(
    "value",
    [
        "https://gitee.com/api/v5",
        "https://git.example.com:8443/gitlab/api/v4",
        "http://127.0.0.1:8902/jenkins",
    ],
)
def test_it_takes_an_address_that_the_portal_may_call(value: str) -> None:
    validate_base_url(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ftp://gitee.com/api/v5", "https://"),
        ("gitee.com/api/v5", "https://"),
        ("https://user:secret@gitee.com/api/v5", "Put credentials into their own fields"),
        ("https://gitee.com/api/v5?access_token=1", "“?”"),
        ("https://gitee.com/api/v5#x", "“#”"),
        ("https://gitee.com/api/../v5", ". or .."),
        ("https://gitee.com/ api", "characters that do not belong"),
        ("https://gitee.com\\@evil.example", "characters that do not belong"),
        ("http://169.254.169.254/latest", "not a public address"),
        ("https://10.0.0.8/jenkins", "OUTGOING_ALLOW"),
        ("https://2130706434/", "not a public address"),
    ],
)
def test_it_refuses_an_address_and_says_why(value: str, words: str) -> None:
    sentence = refusal(validate_base_url, value)

    assert words in sentence
    assert "secret" not in sentence


def test_it_takes_a_readable_pem_file_and_an_empty_ca_file(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")

    validate_ca_file("")
    validate_ca_file(str(pem))


@pytest.mark.parametrize("name", ["missing.pem", "", "bad\0name"])
def test_it_refuses_a_ca_file_that_it_cannot_read(tmp_path: Path, name: str) -> None:
    assert "may not read it" in refusal(validate_ca_file, f"{tmp_path}/{name}")


def test_it_refuses_a_relative_ca_file_and_a_file_without_certificates(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")

    assert "absolute path" in refusal(validate_ca_file, "etc/ca.pem")
    assert "no certificate in PEM form" in refusal(validate_ca_file, str(key))


@pytest.mark.parametrize("value", ["all", "none", "", [], ["unit", "ci/构建 (3.11)"]])
def test_it_takes_checks(value: object) -> None:
    validate_checks(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("some", '"all", "required", "none" or a list'),
        ({"unit": True}, '"all", "required", "none" or a list'),
        (None, '"all", "required", "none" or a list'),
        (["unit", 7], "a text in quotes"),
        (["unit", "Unit"], "twice"),
        ([" "], "no name of a check"),
        (["a\nb"], "no name of a check"),
        ([str(n) for n in range(51)], "50 entries at most"),
    ],
)
def test_it_refuses_checks(value: object, words: str) -> None:
    assert words in refusal(validate_checks, value)


def test_it_takes_aliases_that_can_be_typed_in_a_command() -> None:
    validate_aliases([])
    validate_aliases(["my", "my-service.v2"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("my", "a list of names"),
        (["my", "MY"], "twice"),
        (["-my"], "no alias"),
        (["我的"], "no alias"),
        (["a b"], "no alias"),
        (["x" * 64], "no alias"),
        ([["my"]], "a text in quotes"),
    ],
)
def test_it_refuses_aliases(value: object, words: str) -> None:
    assert words in refusal(validate_aliases, value)


@pytest.mark.parametrize("value", ["acme/shop", "Acme-2/shop.io", "group/sub/project"])
def test_it_takes_a_repository_path(value: str) -> None:
    validate_repository_path(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("shop", "owner/name"),
        ("a/b/c/d/e/f/g", "owner/name"),
        ("acme/", "cannot be part"),
        ("/acme/shop", "cannot be part"),
        ("acme/..", "cannot be part"),
        ("acme/shop.git", "without .git"),
        ("acme/shop?x", "cannot be part"),
        ("acme/商店", "cannot be part"),
    ],
)
def test_it_refuses_a_repository_path(value: str, words: str) -> None:
    assert words in refusal(validate_repository_path, value)


@pytest.mark.parametrize(
    "value", ["shop-test", "team/shop-test", "team/mb/feature%2Fx", "团队/构建 1"]
)
def test_it_takes_a_job_path_as_jenkins_names_it(value: str) -> None:
    validate_job_path(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("/team/shop", "neither begins nor ends"),
        ("team/shop/", "neither begins nor ends"),
        ("team//shop", "no empty part"),
        ("team/ /shop", "no empty part"),
        ("team/../shop", ". or .."),
        ("./shop", ". or .."),
        ("team/shop?delay=0", "allows in no job's name"),
        ("team/shop#1", "allows in no job's name"),
        ("team/a\nb", "allows in no job's name"),
    ],
)
def test_it_refuses_a_job_path(value: str, words: str) -> None:
    assert words in refusal(validate_job_path, value)


def test_it_takes_parameters_with_every_known_placeholder() -> None:
    validate_parameters({})
    validate_parameters(
        {
            "PR": "{number}",
            "REF": "refs/heads/{ref} at {sha}",
            "CHATOPS_ID": "{run}",
            "WHERE": "{service}.{environment}",
            "WHO": "{person} {repository} {pull}",
            "JSON": '{{"sha": "{sha}"}}',
        }
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["PR"], "names with templates"),
        ({"P R": "x"}, "no name of a Jenkins parameter"),
        ({"版本": "x"}, "no name of a Jenkins parameter"),
        ({7: "x"}, "no name of a Jenkins parameter"),
        ({"PR": 7}, "a text of at most 500 characters"),
        ({"PR": "x" * 501}, "a text of at most 500 characters"),
        ({"PR": "{secret}"}, "holds {secret}; there are: {number}, {sha}"),
        ({"PR": "{sha.__class__}"}, "holds {sha.__class__}"),
        ({"PR": "{sha[0]}"}, "holds {sha[0]}"),
        ({"PR": "{sha!r}"}, "holds {sha}"),
        ({"PR": "{sha:>999999999}"}, "holds {sha}"),
        ({"PR": "{}"}, "holds {}"),
        ({"PR": "{sha"}, "a brace without its partner"),
        ({f"P{n}": "x" for n in range(51)}, "50 entries at most"),
    ],
)
def test_it_refuses_parameters(value: object, words: str) -> None:
    assert words in refusal(validate_parameters, value)
