"""What can go wrong with an outgoing HTTP call, told by what the caller may do next."""


class HttpError(Exception):
    """A call without a usable answer. The text is a sentence for people.

    It holds no credentials, headers, bodies or query strings. `sent` says that the request may have
    reached the other side, `retryable` that the same call may succeed later.
    """

    sent = False
    retryable = False


class AddressRefused(HttpError):
    """The scheme, host, port or address is not one that the portal may talk to."""


class NotConnected(HttpError):
    """The name was not found, or connecting or TLS failed: nothing was sent."""

    retryable = True


class Untrusted(NotConnected):
    """The other side's certificate is none that may be believed."""


class NoAnswer(HttpError):
    """The request was sent, at least partly, and no complete answer came."""

    sent = True
    retryable = True


class CutOff(NoAnswer):
    """The other side ended the connection, where a mere NoAnswer ran out of time."""


class BadAnswer(HttpError):
    """An answer came that cannot be used: too large, broken, or not JSON."""

    sent = True


class Redirected(HttpError):
    """The other side pointed elsewhere. Redirects are never followed."""

    sent = True
