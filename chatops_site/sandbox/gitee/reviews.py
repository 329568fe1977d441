"""Reviews and tests of the Gitee stand-in: who must pass what, and who did.

https://gitee.com/api/v5/swagger#/postV5ReposOwnerRepoPullsNumberReview
"""

from chatops_site.sandbox.gitee import shapes
from chatops_site.sandbox.gitee.calls import Call, Endpoint, Refused
from chatops_site.sandbox.records import ADMIN, WRITE, Pull
from chatops_site.sandbox.server import Response, as_json


def pass_review(call: Call) -> Response:
    return _pass(call, call.pull.assignees, action="review", noun="审查")


def pass_test(call: Call) -> Response:
    return _pass(call, call.pull.testers, action="test", noun="测试")


def _pass(call: Call, flags: dict[str, bool], *, action: str, noun: str) -> Response:
    """Sets the caller's own flag; `force` sets everybody's and is for administrators."""
    pull = call.pull
    if pull.state != "open":
        raise Refused(400, f"此 Pull Request 不是开启状态，不能{noun}")
    if call.truth("force"):
        call.needs(ADMIN)
        flags.update(dict.fromkeys(flags, True))
        _lower_gate(pull, action=action)
    elif call.login not in flags:
        raise Refused(403, f"403 Forbidden: 您不是此 Pull Request 的{noun}人员")
    else:
        flags[call.login] = True
    call.world.log(pull, call.login, action, f"{noun}通过")
    return Response(204)


def _lower_gate(pull: Pull, *, action: str) -> None:
    """Force passes the whole gate, even where fewer people are named than are needed."""
    if action == "review":
        pull.assignees_number = min(pull.assignees_number, len(pull.assignees))
    else:
        pull.testers_number = min(pull.testers_number, len(pull.testers))


def assign_assignees(call: Call) -> Response:
    return _assign(call, call.pull.assignees, "assignees")


def assign_testers(call: Call) -> Response:
    return _assign(call, call.pull.testers, "testers")


def _assign(call: Call, flags: dict[str, bool], name: str) -> Response:
    call.needs(WRITE)
    for login in _logins(call, name):
        if login not in call.world.accounts:
            raise Refused(400, f"{name} is invalid: {login}")
        flags.setdefault(login, False)
    call.world.log(call.pull, call.login, "assign", f"指派 {name}")
    return _shown(call, 201)


def unassign_assignees(call: Call) -> Response:
    return _unassign(call, call.pull.assignees, "assignees")


def unassign_testers(call: Call) -> Response:
    return _unassign(call, call.pull.testers, "testers")


def _unassign(call: Call, flags: dict[str, bool], name: str) -> Response:
    call.needs(WRITE)
    for login in _logins(call, name):
        flags.pop(login, None)
    call.world.log(call.pull, call.login, "unassign", f"取消指派 {name}")
    return _shown(call, 200)


def _logins(call: Call, name: str) -> list[str]:
    return [login.strip() for login in call.required(name).split(",") if login.strip()]


def reset_assignees(call: Call) -> Response:
    return _reset(call, call.pull.assignees, "重置审查状态")


def reset_testers(call: Call) -> Response:
    return _reset(call, call.pull.testers, "重置测试状态")


def _reset(call: Call, flags: dict[str, bool], content: str) -> Response:
    """One's own flag, or all of them with `reset_all`, which is for administrators."""
    if call.truth("reset_all"):
        call.needs(ADMIN)
        flags.update(dict.fromkeys(flags, False))
    elif call.login in flags:
        flags[call.login] = False
    else:
        raise Refused(403, "403 Forbidden: 您不在指派人员中")
    call.world.log(call.pull, call.login, "reset", content)
    return _shown(call, 200)


def _shown(call: Call, status: int) -> Response:
    return as_json(shapes.pull(call.world, call.repository, call.pull, call.origin), status)


_PULL = "repos/{owner}/{repo}/pulls/{number}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", f"{_PULL}/review"): pass_review,
    ("POST", f"{_PULL}/test"): pass_test,
    ("POST", f"{_PULL}/assignees"): assign_assignees,
    ("DELETE", f"{_PULL}/assignees"): unassign_assignees,
    ("PATCH", f"{_PULL}/assignees"): reset_assignees,
    ("POST", f"{_PULL}/testers"): assign_testers,
    ("DELETE", f"{_PULL}/testers"): unassign_testers,
    ("PATCH", f"{_PULL}/testers"): reset_testers,
}
