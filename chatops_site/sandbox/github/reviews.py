"""Reviews of the GitHub stand-in.

https://docs.github.com/en/rest/pulls/reviews
"""

from chatops_site.sandbox.github import shapes
from chatops_site.sandbox.github.calls import Call, Endpoint, Refused, not_found, paged
from chatops_site.sandbox.records import WRITE, Review
from chatops_site.sandbox.server import Response, as_json

# Without an event a review stays pending, seen by its author alone.
_EVENTS = {
    "": "pending",
    "APPROVE": "approved",
    "REQUEST_CHANGES": "changes",
    "COMMENT": "commented",
}
_OWN = {
    "approved": "Can not approve your own pull request",
    "changes": "Can not request changes on your own pull request",
}


def list_reviews(call: Call) -> Response:
    rows = [row for row in call.pull.reviews if row.state != "pending" or row.login == call.login]
    return paged(
        call,
        rows,
        lambda row: shapes.review(call.world, call.repository, call.pull, row, call.origin),
    )


def add_review(call: Call) -> Response:
    pull, state = call.pull, _wanted(call)
    sha = call.text("commit_id") or pull.head_sha
    if sha not in {row.sha for row in call.repository.between(pull.base_sha, pull.head_sha)}:
        raise _unprocessable("The commit is not part of the pull request")
    review = call.world.add_review(pull, login=call.login, state=state, body=call.text("body"))
    review.sha = sha
    return _shown(call, review)


def _wanted(call: Call) -> str:
    state = _EVENTS.get(call.text("event"))
    if state is None:
        raise _unprocessable("Variable $event of type PullRequestReviewEvent was invalid")
    if call.pull.author == call.login and state in _OWN:
        raise _unprocessable(_OWN[state])
    if state in ("changes", "commented") and not call.text("body"):
        raise _unprocessable("Could not create review without a body")
    return state


def _unprocessable(reason: str) -> Refused:
    return Refused(422, "Unprocessable Entity", reason)


def submit_review(call: Call) -> Response:
    review = _found(call)
    if review.login != call.login or review.state != "pending":
        raise _unprocessable("Can not submit this review")
    review.state = _wanted(call)
    return _shown(call, review)


def dismiss_review(call: Call) -> Response:
    call.needs(WRITE)
    review = _found(call)
    if review.state not in ("approved", "changes"):
        raise _unprocessable("Can not dismiss a commented pull request review")
    review.state = "dismissed"
    return _shown(call, review)


def _found(call: Call) -> Review:
    found = [row for row in call.pull.reviews if str(row.id) == call.found["id"]]
    if not found:
        raise not_found()
    return found[0]


def _shown(call: Call, review: Review) -> Response:
    return as_json(shapes.review(call.world, call.repository, call.pull, review, call.origin))


_REVIEWS = "repos/{owner}/{repo}/pulls/{number}/reviews"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", _REVIEWS): list_reviews,
    ("POST", _REVIEWS): add_review,
    ("POST", f"{_REVIEWS}/{{id}}/events"): submit_review,
    ("PUT", f"{_REVIEWS}/{{id}}/dismissals"): dismiss_review,
}
