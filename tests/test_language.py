"""The command language: what people type, and the call, the hint or the silence it becomes."""

import pytest
from django.utils import translation

from bot.commands.base import Argument, Call, Kind, Spec
from bot.language import Misread, NotACommand, canonical, parse

NUMBER = Argument("number", Kind.NUMBER, required=True)
REPOSITORY = Argument("repository", Kind.REPOSITORY)
SERVICE = Argument("service", Kind.SERVICE, required=True)
RUN = Argument("run", Kind.RUN, required=True)
TO = Argument("environment", Kind.ENVIRONMENT, keyword="to")
METHOD = Argument("method", Kind.CHOICE, choices=("merge", "squash", "rebase"))
FILTER = Argument("filter", Kind.CHOICE, choices=("mine", "ready", "stale"))
JOB = Argument("job", Kind.JOB, required=True)
TEXT = Argument("text", Kind.TEXT, required=True)


def spec(verb: str, *arguments: Argument, aliases: tuple[str, ...] = ()) -> Spec:
    return Spec(verb, f"does {verb}", (), arguments, aliases)


SPECS = (
    spec("help", Argument("command", Kind.COMMAND), aliases=("帮助", "?")),
    spec("prs", REPOSITORY, FILTER, aliases=("待合并",)),
    spec("pr", NUMBER, REPOSITORY),
    spec("approve", NUMBER, REPOSITORY, aliases=("批准", "lgtm")),
    spec("test", NUMBER, REPOSITORY, aliases=("测试",)),
    spec("merge", NUMBER, REPOSITORY, METHOD, aliases=("合并",)),
    spec("comment", NUMBER, TEXT, REPOSITORY, aliases=("评论",)),
    spec("hold", NUMBER, REPOSITORY, Argument("reason", Kind.TEXT)),
    spec("jenkins jobs", aliases=("任务",)),
    spec("jenkins describe", JOB),
    spec("jenkins test", SERVICE),
    spec("jenkins build", JOB, Argument("parameters", Kind.PARAMETERS), aliases=("构建",)),
    spec("deploy", SERVICE, Argument("ref", Kind.REF), TO, aliases=("部署",)),
    spec("status", Argument("run", Kind.RUN), Argument("service", Kind.SERVICE)),
    spec("log", RUN),
    spec(
        "lock",
        SERVICE,
        Argument("environment", Kind.ENVIRONMENT),
        TEXT,
        Argument("for", Kind.CHOICE, choices=("1h", "2h"), keyword="for"),
        aliases=("锁定",),
    ),
)
SHA = "4f2a91c0" * 5


def read(text: str) -> Call:
    call = parse(text, SPECS)
    assert isinstance(call, Call), call
    return call


def misread(text: str) -> Misread:
    wrong = parse(text, SPECS)
    assert isinstance(wrong, Misread), wrong
    return wrong


def ignored(text: str) -> str:
    nothing = parse(text, SPECS)
    assert isinstance(nothing, NotACommand), nothing
    return nothing.reason


# What runs, and how it is understood.
UNDERSTOOD = [
    ("/merge 233", "/merge 233"),
    ("/merge 233 shop", "/merge 233 shop"),
    ("/merge 233 shop squash", "/merge 233 shop squash"),
    ("/merge 233 squash", "/merge 233 squash"),
    ("/merge 233 Squash shop", "/merge 233 shop squash"),
    ("/merge #233", "/merge 233"),
    ("/merge !233", "/merge 233"),
    ("/merge shop#233", "/merge 233 shop"),
    ("/merge shop!233 rebase", "/merge 233 shop rebase"),
    ("!merge 233", "/merge 233"),
    ("merge 233", "/merge 233"),
    ("Merge 233", "/merge 233"),
    ("/MERGE 233", "/merge 233"),
    ("/merge 233 Shop", "/merge 233 Shop"),
    ("合并 233", "/merge 233"),
    ("/合并 233", "/merge 233"),
    ("LGTM 233", "/approve 233"),
    ("?", "/help"),
    # What Chinese keyboards type.
    ("/merge ２３３", "/merge 233"),
    ("／merge　２３３", "/merge 233"),
    ("！合并　＃２３３", "/merge 233"),
    # What platforms leave around it.
    ("/merge 233\n", "/merge 233"),
    ("\r\n /merge 233 \r\n", "/merge 233"),
    ("\u2005/merge 233", "/merge 233"),
    ("\u200b\u00a0/merge 233\u3000", "/merge 233"),
    ("/merge 233 \u200b", "/merge 233"),
    ("/merge\t233", "/merge 233"),
    ("/merge   233", "/merge 233"),
    ("/merge\u00a0233", "/merge 233"),
    # Lists and choices.
    ("/prs", "/prs"),
    ("/prs mine", "/prs mine"),
    ("/prs shop READY", "/prs shop ready"),
    ("/prs ready shop", "/prs shop ready"),
    ("待合并", "/prs"),
    # Deployments.
    ("/deploy myservice", "/deploy myservice"),
    ("/deploy myservice v1.4.2 to staging", "/deploy myservice v1.4.2 to staging"),
    ("/部署 myservice 到 staging", "/deploy myservice to staging"),
    ("/deploy myservice in staging", "/deploy myservice to staging"),
    ("/deploy myservice TO staging v1", "/deploy myservice v1 to staging"),
    ("/deploy myservice feature/pay-2", "/deploy myservice feature/pay-2"),
    (f"/deploy myservice {SHA}", f"/deploy myservice {SHA}"),
    (f"/deploy myservice {'ab' * 32}", f"/deploy myservice {'ab' * 32}"),
    ("/deploy myservice 4f2a91c", "/deploy myservice 4f2a91c"),
    # Runs and services.
    ("/status", "/status"),
    ("/status 1850", "/status 1850"),
    ("/status #1850", "/status 1850"),
    ("/status myservice", "/status myservice"),
    ("/log 123456789012", "/log 123456789012"),
    # Jenkins.
    ("/jenkins jobs", "/jenkins jobs"),
    ("Jenkins Jobs", "/jenkins jobs"),
    ("/任务", "/jenkins jobs"),
    ("/jenkins test myservice", "/jenkins test myservice"),
    ("/jenkins describe team/mb/feature%2Fx", "/jenkins describe team/mb/feature%2Fx"),
    ("/jenkins build nightly", "/jenkins build nightly"),
    ('/构建 team/x A=1 B="x y" C=', '/jenkins build team/x A=1 B="x y" C=""'),
    ("/jenkins build x URL=a=b;c", "/jenkins build x URL=a=b;c"),
    # Help on a command.
    ("/help merge", "/help merge"),
    ("/help /MERGE", "/help merge"),
    ("/help 合并", "/help merge"),
    ("/help jenkins test", "/help jenkins test"),
    ("/help jenkins", "/help jenkins"),
    # Free text.
    ("/comment 233 looks good, please test", "/comment 233 looks good, please test"),
    ("/评论 shop#233 请补一个测试。👍", "/comment shop#233 请补一个测试。👍"),
    ("/comment 233 run `x` --force; 1 < 2 | y", "/comment 233 run `x` --force; 1 < 2 | y"),
    ("/hold 233 shop waiting for lisi", "/hold shop#233 waiting for lisi"),
    ("/hold 233 等李四", "/hold 233 等李四"),
    ("/lock myservice migration", "/lock myservice migration"),
    ("/锁定 myservice 迁移 for 2h", "/lock myservice 迁移 for 2h"),
    ("/lock myservice production for now FOR 2H", "/lock myservice production for now for 2h"),
]


@pytest.mark.parametrize(("text", "printed"), UNDERSTOOD)
def test_it_understands(text: str, printed: str) -> None:
    assert read(text).canonical == printed


@pytest.mark.parametrize("printed", [printed for _text, printed in UNDERSTOOD])
def test_a_printed_call_means_the_same_call(printed: str) -> None:
    assert read(printed) == read(read(printed).canonical)


def test_a_call_holds_typed_values_and_leaves_out_what_was_not_given() -> None:
    assert read("/merge shop#233 squash").arguments == {
        "number": 233,
        "repository": "shop",
        "method": "squash",
    }
    assert read("/merge 233").arguments == {"number": 233}
    assert read('/jenkins build a/b X=1 Y="2 3" Z=').arguments == {
        "job": "a/b",
        "parameters": {"X": "1", "Y": "2 3", "Z": ""},
    }


def test_an_optional_name_before_a_text_leaves_the_text_its_word() -> None:
    assert read("/lock myservice migration").arguments == {
        "service": "myservice",
        "text": "migration",
    }


def test_a_text_may_begin_and_end_with_words_of_the_language() -> None:
    assert read("/comment 233 merge to staging").arguments["text"] == "merge to staging"
    assert read("/lock myservice production for all").arguments["text"] == "for all"


def test_a_changed_call_prints_as_it_would_be_typed() -> None:
    call = Call("merge", {"number": 233, "repository": "shop"}, "")

    assert canonical(call, SPECS[5]) == "/merge 233 shop"


# Text, reason of the refusal, and what its sentence must tell.
REFUSED = [
    # 59, 60, 62, 63: numbers.
    ("/merge", "missing", "lacks the number of a pull request"),
    ("/deploy", "missing", "lacks a service"),
    ("/merge 0", "number", "0 is not the number"),
    ("/merge -1", "number", "digits"),
    ("/merge 00233", "number", "do not begin with 0"),
    ("/merge +233", "number", "digits"),
    ("/merge 233.0", "number", "digits"),
    ("/merge 1e3", "number", "digits"),
    ("/merge 0xE9", "number", "digits"),
    ("/merge 2_3_3", "number", "digits"),
    ("/merge 9999999999", "number", "1 to 9 digits"),
    ("/log 1234567890123", "run", "up to 12 digits"),
    ("/merge ٢٣٣", "character", "U+0662 ARABIC-INDIC DIGIT TWO"),
    ("/merge ²", "character", "U+00B2 SUPERSCRIPT TWO"),
    ("/merge ㉓", "character", "U+3253 CIRCLED NUMBER TWENTY THREE"),
    ("/merge 二三三", "character", "U+4E8C"),
    ("/merge 233 234", "second_number", "One pull request a command"),
    ("/merge 233 #234", "second_number", "One pull request"),
    ("/merge 233,234", "second_number", "One pull request"),
    ("/merge 12#233", "second_number", "One pull request"),
    # 64: options.
    ("/merge 233 --force", "option", "--force"),
    ("/merge --repo=x 1", "option", "--repo=x"),
    ("/merge -- 1", "option", "each argument has its place"),
    ("/deploy svc -x", "option", "-x"),
    ("/deploy svc --upload-pack=x", "option", "--upload-pack=x"),
    # 65: lines.
    ("/merge 233\n/deploy prod", "one_line", "one line only"),
    ("/merge 233\r\n/deploy prod", "one_line", "one line only"),
    ("/merge 233\u2028/deploy prod", "one_line", "one line only"),
    ("/merge 233\u2029x", "one_line", "one line only"),
    ("/merge 233\u0085x", "one_line", "one line only"),
    ("/merge 233\x0bx", "one_line", "one line only"),
    ("/merge 233\x0cx", "one_line", "one line only"),
    ("/merge 233\x1cx", "one_line", "one line only"),
    ("/comment 233 a\nb", "one_line", "one line only"),
    ("merge 233\n/deploy prod", "one_line", "one line only"),
    # 69, 70: look-alikes and what is not seen.
    ("/mergе 233", "character", "U+0435 CYRILLIC SMALL LETTER IE"),
    ("/ⅿerge 233", "character", "U+217F"),
    ("/ℳerge 233", "character", "U+2133"),
    ("/ｍerge 233", "character", "U+FF4D"),
    ("/\u212aog 1", "character", "U+212A KELVIN SIGN"),
    ("/\u200bmerge 233", "character", "U+200B ZERO WIDTH SPACE"),
    ("/mer\u200dge 233", "character", "U+200D ZERO WIDTH JOINER"),
    ("/merge 233\u200b", "character", "U+200B"),
    ("\ufeff/merge 233", "character", "U+FEFF"),
    ("/merge\u2005233", "character", "U+2005"),
    # 71: other slashes.
    ("∕merge 233", "character", "U+2215 DIVISION SLASH"),
    ("⁄merge 233", "character", "U+2044 FRACTION SLASH"),
    ("⧸merge 233", "character", "U+29F8"),
    ("\\merge 233", "character", "U+005C REVERSE SOLIDUS"),
    ("、merge 233", "character", "U+3001 IDEOGRAPHIC COMMA"),
    # 72 to 75.
    ("/merge \u202e332", "character", "U+202E RIGHT-TO-LEFT OVERRIDE"),
    ("/comment 233 \u202eabc", "character", "U+202E"),
    ("/comment 233 a\x00b", "character", "U+0000"),
    ("/comment 233 \ue000", "character", "U+E000"),
    ("/comment 233 \ud800", "character", "U+D800"),
    ("/mergé 233", "character", "U+00E9"),
    ("/m" + "\u0301" * 1000, "character", "U+0301 COMBINING ACUTE ACCENT"),
    ("/merge " + "\ufdfa" * 100, "character", "U+FDFA"),
    ("/merge 233 👍", "character", "U+1F44D THUMBS UP SIGN"),
    ("👍/merge 233", "character", "U+1F44D"),
    ("/merge 233。", "punctuation", "`/merge 233`"),
    ("/merge 233，", "punctuation", "`/merge 233`"),
    ("/help？", "punctuation", "`/help`"),
    ("/merge 233.", "punctuation", "`/merge 233`"),
    # 76, 77, 81: what a shell, a database or a template would read.
    ("/merge 233; rm -rf /", "character", "U+003B SEMICOLON"),
    ("/merge 233 $(id)", "character", "U+0024 DOLLAR SIGN"),
    ("/merge 233 `id`", "character", "U+0060"),
    ("/merge 233 | tee", "character", "U+007C"),
    ("/merge 233 && x", "character", "U+0026"),
    ("/merge 233%0a", "number", "digits"),
    ("/merge 1' OR '1'='1", "character", "U+0027 APOSTROPHE"),
    ('/status "', "character", "U+0022"),
    ("/deploy ${jndi:ldap://x}", "character", "U+0024"),
    ("/deploy svc {{7*7}}", "character", "U+007B"),
    ("/deploy svc %(x)s", "character", "U+0028"),
    ("/deploy svc {0.__class__}", "character", "U+007B"),
    # 78: names.
    ("/deploy ../../manage", "service", "is not a service"),
    ("/deploy a/../b", "service", "is not a service"),
    ("/deploy a%2fb", "service", "is not a service"),
    ("/deploy a//b", "service", "is not a service"),
    ("/deploy .", "service", "is not a service"),
    ("/deploy ~", "character", "U+007E"),
    ("/deploy " + "x" * 300, "service", "is not a service"),
    ("/merge 233 a/b", "repository", "is not a repository"),
    ("/deploy svc v1 to a/b", "environment", "is not an environment"),
    ("/deploy svc to", "missing", "lacks an environment"),
    # 80: refs.
    ("/deploy svc branch=main;x", "character", "U+003B"),
    ("/deploy svc sha=abc", "ref", "exactly 40 or 64"),
    ("/deploy svc " + "a" * 39, "ref", "exactly 40 or 64"),
    ("/deploy svc " + "a" * 41, "ref", "exactly 40 or 64"),
    ("/deploy svc " + "A" * 40, "ref", "exactly 40 or 64"),
    ("/deploy svc refs/heads/x", "ref", "branch"),
    ("/deploy svc HEAD", "ref", "branch"),
    ("/deploy svc FETCH_HEAD", "ref", "branch"),
    ("/deploy svc HEAD~1", "character", "U+007E TILDE"),
    ("/deploy svc @{u}", "character", "U+007B"),
    ("/deploy svc a..b", "ref", "branch"),
    ("/deploy svc a//b", "ref", "branch"),
    ("/deploy svc a/.b", "ref", "branch"),
    ("/deploy svc a.lock", "ref", "branch"),
    ("/deploy svc a.lock/b", "ref", "branch"),
    ("/deploy svc /a", "ref", "branch"),
    ("/deploy svc a/", "ref", "branch"),
    ("/deploy svc " + "a/" * 120 + "b", "ref", "branch"),
    # 92, 95.
    ("/deploy <http://a.b|a.b>", "character", "U+003C"),
    ("/deploy svc glpat-abcDEF1234567890abcd", "secret", "Revoke the token"),
    ("/comment 233 use ghp_abcdefghij0123456789", "secret", "Revoke the token"),
    # Jenkins.
    ("/jenkins describe -x", "option", "-x"),
    ("/jenkins describe a/../b", "job", "team/shop-test"),
    ("/jenkins describe a/./b", "job", "team/shop-test"),
    ("/jenkins describe /a", "job", "team/shop-test"),
    ("/jenkins build x A", "parameters", "name=value"),
    ("/jenkins build x 1A=2", "parameters", "name=value"),
    ('/jenkins build x A="1', "character", "U+0022"),
    ("/jenkins build x A=é", "character", "U+00E9"),
    ("/jenkins build x A=1 A=2", "twice", "A is one too many"),
    # Too much.
    ("/merge 233 shop x", "extra", "x is one word too many"),
    ("/jenkins jobs please", "extra", "please is one word too many"),
    ("/merge 233 squash rebase", "twice", "rebase is one too many"),
    ("/merge shop#233 shop", "extra", "shop is one word too many"),
    ("/deploy svc to a to b", "twice", "to is one too many"),
    ("/merge squash#233", "number", "is not the number"),
    ("/comment 233 " + "x" * 501, "text_too_long", "500"),
    ("x" * 4001, "too_long", "4000"),
    ("/" + "\ufdfa" * 4001, "too_long", "4000"),
    ("/comment 233", "missing", "lacks a text"),
]


@pytest.mark.parametrize(("text", "reason", "told"), REFUSED)
def test_it_refuses_and_says_why(text: str, reason: str, told: str) -> None:
    wrong = misread(text)

    assert wrong.reason == reason
    assert told in wrong.sentence
    assert len(wrong.sentence) < 400


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\u200b ", "empty"),
        ("please /merge 233", "text"),
        ("mergee 233", "text"),
        ("mergе 233", "text"),
        ("merged 233", "text"),
        ("jenkins is slow today", "text"),
        ("jenkins", "text"),
        ("@bot /merge 233", "text"),
        ("> /merge 233", "quote"),
        ("```\n/merge 233\n```", "code"),
        ("`/merge 233`", "code"),
        ('"/merge 233"', "text"),
        ("“/merge 233”", "text"),
        ("「/merge 233」", "text"),
        ("//merge 233", "double_slash"),
        ("／/merge 233", "double_slash"),
        ("!!!", "text"),
        ("! merge", "text"),
        ("look at this\n/merge 233", "text"),
        ("👍", "text"),
        ("\ud800", "text"),
    ],
)
def test_it_is_silent_about_what_is_no_command(text: str, reason: str) -> None:
    assert ignored(text) == reason


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("/mergee 233", "/merge 233"),
        ("/mrege 233 Shop", "/merge 233 Shop"),
        ("/合病 233", "/merge 233"),
        ("/merge233", "/merge 233"),
        ("/合并233", "/merge 233"),
        ("/ merge 233", "/merge 233"),
        ("/mergee", "/merge"),
        ("/mergee 0", "/merge"),
        ("/deplyo myservice 到 staging", "/deploy myservice to staging"),
        ("/jenkins tset myservice", "/jenkins test myservice"),
        ("/jenkin test myservice", "/jenkins test myservice"),
        ("/help mergee", "/help merge"),
        ("/commment 233 @all look", "/comment"),
        ("/xyz", ""),
        ("/", ""),
        ("/etc/passwd", ""),
    ],
)
def test_it_asks_whether_another_command_was_meant(text: str, suggestion: str) -> None:
    wrong = misread(text)

    assert wrong.suggestion == suggestion
    if suggestion:
        assert f"Did you mean `{suggestion}`?" in wrong.sentence


def test_an_unknown_command_reads_as_the_guide_has_it() -> None:
    assert misread("/mergee 233").sentence == "No command /mergee. Did you mean `/merge 233`?"


def test_an_incomplete_verb_is_told_how_it_goes_on() -> None:
    wrong = misread("/jenkins")

    assert wrong.reason == "incomplete"
    assert "`/jenkins jobs`, `/jenkins describe`, `/jenkins test`, `/jenkins build`" in (
        wrong.sentence
    )


def test_a_refusal_shows_the_usage_and_names_the_verb() -> None:
    wrong = misread("/merge x")

    assert wrong.verb == "merge"
    assert wrong.usage == "/merge 233 [repo] [merge|squash|rebase]"
    assert wrong.sentence.endswith("Usage: `/merge 233 [repo] [merge|squash|rebase]`")


def test_a_refusal_never_repeats_a_token() -> None:
    wrong = misread("/mergee glpat-abcDEF1234567890abcd")

    assert "glpat" not in repr(wrong)


def test_a_refusal_makes_foreign_words_harmless() -> None:
    assert "@all" not in misread("/@all").sentence
    assert "](" not in misread("/merge [x](http://evil)").sentence
    assert "/%(word)s" in misread("/%(word)s").sentence
    assert "\u202e" not in misread("/x\u202ey").sentence


def test_a_refusal_speaks_the_language_that_is_active() -> None:
    with translation.override("zh-hans"):
        assert misread("/mergee 233").suggestion == "/merge 233"


def test_an_alias_of_one_command_never_hides_the_verb_of_another() -> None:
    specs = (spec("build", NUMBER), spec("jenkins build", JOB, aliases=("build",)))

    call = parse("/build 233", specs)

    assert isinstance(call, Call)
    assert call.verb == "build"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/lock2 myservice for 3h", "3h is none of 1h, 2h."),
        ("/lock2 myservice for", "lacks one of its words"),
        ("/lock2 myservice because \u202e", "U+202E"),
        ("/lock2 myservice from 0", "0 is not the number"),
    ],
)
def test_the_word_after_a_keyword_must_fit_it(text: str, told: str) -> None:
    lock = spec(
        "lock2",
        SERVICE,
        Argument("for", Kind.CHOICE, choices=("1h", "2h"), keyword="for"),
        Argument("because", Kind.TEXT, keyword="because"),
        Argument("from", Kind.NUMBER, keyword="from"),
    )

    wrong = parse(text, (lock,))

    assert isinstance(wrong, Misread)
    assert told in wrong.sentence
    assert isinstance(parse("/lock2 myservice because x from 1 for 1H", (lock,)), Call)


def test_many_sets_of_specs_are_told_apart() -> None:
    for number in range(50):
        call = parse("/go", (spec(f"verb{number}", aliases=("go",)),))

        assert isinstance(call, Call)
        assert call.verb == f"verb{number}"


def test_a_spec_with_something_after_its_text_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="nothing can stand after"):
        parse("/x", (spec("x", TEXT, SERVICE),))
