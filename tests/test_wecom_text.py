"""Replies in the few signs that WeCom has, and foreign words that are never among them."""

import time

import pytest

from bot.platforms.wecom.text import to_card, to_markdown, to_plain
from bot.wording import block, code, escape, link


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("**a** `b` [c](https://h/x?y=1)", "**a** `b` [c](https://h/x?y=1)"),
        ("[**c\\_d**](https://h/)", "[**c_d**](https://h/)"),
        ("shop\\_1 a\\|b \\~c \\\\d", "shop_1 a|b ~c \\d"),
        ("\\*\\*x\\*\\* \\`y\\` \\<z\\>", "＊＊x＊＊ 'y' ＜z>"),
        ("\\[x\\](https://evil/)", "[x］(https://evil/)"),
        ("\\[WIP\\] x", "[WIP] x"),
        ("\\# x\na \\#1\n\\> y", "＃ x\na #1\n＞ y"),
        ("a  \nb", "a\nb"),
        ("x\n```\na **b** `c`\n<font>\n[d](e)\n```\ny", "x\n> a ＊＊b＊＊ 'c'\n> ＜font>\n> [d］(e)\ny"),
        ("```\n```", "> "),
        ("```", "```"),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown_is_said_in_the_few_signs_wecom_has(text: str, markdown: str) -> None:
    assert to_markdown(text) == markdown.rstrip(" ")


HOSTILE = [
    "[x](https://evil.example/)",
    "**bold** `code`",
    '<font color="warning">x</font>',
    "<@zhangsan> @all @所有人",
    "# head",
    "> quote",
    "\\[x](https://evil.example/)",
    '<a href="https://evil.example/">x</a>',
]


@pytest.mark.parametrize("foreign", HOSTILE)
def test_foreign_words_are_never_markup(foreign: str) -> None:
    for line in (escape(foreign), f"⛔ {escape(foreign)}", block([foreign])):
        shown = to_markdown(line).removeprefix("> ")
        assert "](" not in shown
        assert "**" not in shown
        assert "`" not in shown
        assert "<f" not in shown
        assert "<@" not in shown
        assert not shown.startswith(("# ", "> "))
        assert "<a" not in to_plain(line)
    assert "<a" not in to_plain(code(foreign))
    assert "@all" not in to_markdown(escape(foreign))


@pytest.mark.parametrize(
    "piece", ["[", "\\[", "`", "```\n", "[a](", "**", " · ", "x · [y](https://z/)"]
)
def test_no_text_takes_long(piece: str) -> None:
    text, began = (piece * 4_000)[:4_000], time.perf_counter()
    for convert in (to_markdown, to_plain, to_card):
        convert(text)
    assert time.perf_counter() - began < 1


def test_a_link_of_ours_stays_one_in_a_text_message() -> None:
    text = f"⛔ {link(escape('build_57'), 'https://j/57/')} `/retry 7`"
    assert to_plain(text) == '⛔ <a href="https://j/57/">build_57</a> /retry 7'


@pytest.mark.parametrize(
    ("text", "title", "rest", "whole"),
    [
        ("a", "a", "", True),
        ("**a** `b`\nc\\_d  \ne", "a b", "c_d\ne", True),
        ("x" * 72, "x" * 72, "", True),
        ("x" * 73, "x" * 70 + "…", "", False),
        ("字" * 37, "字" * 35 + "…", "", False),
        ("x" * 60 + " · run 7 · 3 s\nb", "x" * 60, "run 7 · 3 s\nb", True),
        ("a\n" + "字" * 160, "a", "字" * 160, True),
        ("a\n" + "字" * 161, "a", "字" * 159 + "…", False),
        ("a [b](https://h/) c", "a b c", "", True),
        ("a\n```\nlog\n```", "a", "log", False),
        ("a" + "[b](https://h/)" * 7, "abbbbbbb", "", False),
        ("", "", "", True),
    ],
)
def test_a_card_says_the_first_line_and_what_fits_under_it(
    text: str, title: str, rest: str, whole: bool
) -> None:
    said = to_card(text)
    assert (said.title, said.rest, said.is_whole) == (title, rest, whole)


def test_a_card_s_links_stand_apart() -> None:
    said = to_card(f"⛔ {link(escape('build_57'), 'https://j/57/')}\n[{'x' * 53}](https://h/)")
    assert said.links == (("build_57", "https://j/57/"), ("x" * 50 + "…", "https://h/"))
    assert to_card("\\[x\\](https://evil/)").links == ()
