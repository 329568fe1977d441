"""Reviews of the Gitea stand-in.

https://docs.gitea.com/api
"""

from chatops_site.sandbox.gitea import shapes
from chatops_site.sandbox.gitea.calls import Call, Endpoint, Refused, not_found, paged
from chatops_site.sandbox.records import ADMIN, Review
from chatops_site.sandbox.server import Response, as_json

# Whatever else the event says, GitHub's APPROVE too, leaves the review pending.
_EVENTS = {
    "APPROVED": "approved",
    "REQUEST_CHANGES": "changes",
    "COMMENT": "commented",
}
_OWN = {"approved": "approve", "changes": "reject"}


def list_reviews(call: Call) -> Response:
    """In pages as other lists, but without links."""
    rows = [row for row in call.pull.reviews if row.state != "pending" or row.login == call.login]
    response = paged(call, rows, lambda row: _shape(call, row))
    response.headers.pop("Link", None)
    return response


def add_review(call: Call) -> Response:
    """On the commit that is named, whether it is the head or not."""
    pull, state = call.pull, _wanted(call)
    if pull.state != "open":
        raise Refused(422, "can't submit review for a closed or merged PR")
    review = call.world.add_review(pull, login=call.login, state=state, body=call.text("body"))
    review.sha = call.text("commit_id") or pull.head_sha
    return as_json(_shape(call, review))


def _wanted(call: Call) -> str:
    event = call.text("event")
    state = _EVENTS.get(event, "pending")
    if call.pull.author == call.login and state in _OWN:
        raise Refused(422, f"{_OWN[state]} your own pull is not allowed")
    if state != "approved" and not call.text("body").strip():
        more = " or a comment" if state == "commented" else ""
        raise Refused(422, f"review event {event} requires a body{more}")
    return state


def show_review(call: Call) -> Response:
    return as_json(_shape(call, _found(call)))


def submit_review(call: Call) -> Response:
    """Then it counts for the head as it is now."""
    review = _found(call)
    if review.state != "pending":
        raise Refused(422, "only a pending review can be submitted")
    state = _wanted(call)
    if state == "pending":
        raise Refused(422, "review stay pending")
    review.state, review.sha = state, call.pull.head_sha
    return as_json(_shape(call, review))


def dismiss_review(call: Call) -> Response:
    if call.right < ADMIN:
        raise Refused(403, "Must be repo admin")
    review = _found(call)
    if review.state not in _OWN:
        raise Refused(
            403,
            "not need to dismiss this review because it's type is not Approve or change request",
        )
    review.state = "dismissed"
    return as_json(_shape(call, review))


def _found(call: Call) -> Review:
    """Somebody else's pending review is not there."""
    found = [row for row in call.pull.reviews if str(row.id) == call.found["id"]]
    if not found or (found[0].state == "pending" and found[0].login != call.login):
        raise not_found()
    return found[0]


def _shape(call: Call, review: Review) -> shapes.Shape:
    return shapes.review(call.world, call.repository, call.pull, review, call.origin)


_REVIEWS = "repos/{owner}/{repo}/pulls/{index}/reviews"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", _REVIEWS): list_reviews,
    ("POST", _REVIEWS): add_review,
    ("GET", f"{_REVIEWS}/{{id}}"): show_review,
    ("POST", f"{_REVIEWS}/{{id}}"): submit_review,
    ("POST", f"{_REVIEWS}/{{id}}/dismissals"): dismiss_review,
}
