"""Which lines of a comment are commands: Prow's rules, and the number of the pull request put in."""

import pytest

from bot.commands.registry import specs
from bot.hooks.commands_in import MOST_COMMANDS, commands_in


def found(body: str) -> list[str]:
    return commands_in(body, number=233, specs=specs())


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("/merge", ["/merge 233"]),
        ("/merge squash", ["/merge 233 squash"]),
        ("/MERGE", ["/merge 233"]),
        ("／合并", ["/merge 233"]),
        ("/merge 234", ["/merge 234"]),
        ("/merge web#12", ["/merge web#12"]),
        ("/comment 看起来不错", ["/comment 233 看起来不错"]),
        ("/deploy myservice to staging", ["/deploy myservice to staging"]),
        ("/help", ["/help"]),
        ("Looks good.\r\n/approve\r\n/merge\r\n", ["/approve 233", "/merge 233"]),
        ("/ops approve", ["/approve 233"]),
        ("/ops /approve", ["/approve 233"]),
        ("/OPS  merge 12", ["/merge 12"]),
        ("/ops frobnicate", ["/frobnicate"]),
    ],
)
def test_a_command_begins_a_line_and_means_its_own_pull_request(
    body: str, commands: list[str]
) -> None:
    assert found(body) == commands


@pytest.mark.parametrize(
    "body",
    [
        "",
        "please /merge",
        " /merge",
        "\t/merge",
        "    /merge",
        "> /merge",
        "`/merge`",
        "merge 233",
        "//merge",
        "/assign @lisi",
        "/label bug",
        "/opsmerge",
        "```\n/merge\n```",
        "~~~sh\n/merge\n~~~",
        "````\n```\n/merge\n````",
        "```\n/merge",
        "<!-- /merge\n/merge -->",
        "<!--\n/merge",
        "\u200b/merge",
        "/mergé",
    ],
)
def test_what_is_quoted_or_code_or_somebody_elses_is_no_command(body: str) -> None:
    assert found(body) == []


def test_after_a_fence_lines_count_again() -> None:
    assert found("```\n/merge\n```\n/approve") == ["/approve 233"]


def test_a_comment_of_commands_is_cut_at_ten() -> None:
    assert len(found("/help\n" * 50)) == MOST_COMMANDS
