"""How Jenkins answers: JSON under /api, HTML for everything else, errors included."""

import html
import json
from typing import Any

from chatops_site.sandbox.server import Response

VERSION = "2.516.3"
HTML = "text/html;charset=utf-8"
TEXT = "text/plain;charset=utf-8"


class Refusal(Exception):
    """Ends the answering of a request with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"answered {response.status}")
        self.response = response


def as_api(value: Any) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(200, body, {}, "application/json;charset=utf-8")


def as_page(text: str, status: int = 200, **headers: str) -> Response:
    return Response(status, text.encode(), dict(headers), HTML)


def as_text(body: bytes, headers: dict[str, str]) -> Response:
    return Response(200, body, headers, TEXT)


def moved(status: int, location: str) -> Response:
    return Response(status, b"", {"Location": location}, HTML)


def empty(status: int) -> Response:
    return Response(status, b"", {}, HTML)


def refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> Refusal:
    """An HTML error page; Jenkins' 400s carry the sentence in X-Error as well."""
    told = html.escape(sentence)
    page = (
        f"<!DOCTYPE html><html><head><title>Error {status} - Jenkins</title></head>"
        f'<body><div id="main-panel"><h1>Oops!</h1><p>A problem occurred while processing the '
        f"request.</p><p>{told}</p></div></body></html>"
    )
    extra = {"X-Error": _one_line(sentence)} if status == 400 else {}
    return Refusal(Response(status, page.encode(), extra | (headers or {}), HTML))


def not_found(path: str) -> Refusal:
    return refused(404, f"Not Found: {path}")


def post_required() -> Refusal:
    return refused(405, "This URL requires POST: form post required.", {"Allow": "POST"})


def _one_line(sentence: str) -> str:
    return " ".join(sentence.encode("ascii", "replace").decode().split())
