"""The pages that nginx makes for a status without a body, in APISIX's edition."""

from http import HTTPStatus

_REASONS = {status.value: status.phrase for status in HTTPStatus}
# nginx has its own words for some statuses.
_TITLES = {
    302: "302 Found",
    400: "400 Bad Request",
    405: "405 Not Allowed",
    408: "408 Request Time-out",
    413: "413 Request Entity Too Large",
    414: "414 Request-URI Too Large",
    416: "416 Requested Range Not Satisfiable",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
    505: "505 HTTP Version Not Supported",
}
_WITH_PAGE = frozenset([*range(301, 304), 307, 308, *range(400, 407), *range(408, 417), 421, 429])
_WITH_PAGE |= frozenset([*range(500, 506), 507])
_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    '<hr><center>openresty</center>\r\n<p><em>Powered by <a href="https://apisix.apache.org/">APISIX</a>.</em></p>'
    "</body>\r\n</html>\r\n"
)


def reason(status: int) -> str:
    """The reason phrase of a status line."""
    return _REASONS.get(status, "Unknown")


def error_page(status: int, title: str | None = None) -> bytes | None:
    """The HTML page of a status, or None where nginx sends an empty body."""
    if status not in _WITH_PAGE:
        return None
    title = title or _TITLES.get(status) or f"{status} {reason(status)}"
    return _PAGE.format(title=title).encode()
