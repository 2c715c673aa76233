"""One page under every URL. It tells its own copy from all others, and what the
application was asked. Below /rich it has headers that a bare body loses."""

import html
import itertools
import os

copies = itertools.count(1)

RICH = [
    ("ETag", '"v1"'),
    ("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT"),
    ("Content-Security-Policy", "default-src 'self'"),
    ("Content-Language", "de"),
    ("Link", "</next>; rel=next"),
    ("Link", "</up>; rel=up"),
    ("Content-Disposition", "inline"),
    ("X-Custom", "caf\xe9"),
]


def application(environ, start_response):
    sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    told = [environ.get(name, "").encode("latin-1", "replace").decode("latin-1")
            for name in ("REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING")]
    body = "<p>Copy %d.%d</p>\n<p>Asked %s</p>\n<p>Sent %d</p>\n%s" % (
        os.getpid(), next(copies), html.escape(" ".join(told)), len(sent), "<p>padding</p>\n" * 100)
    body = body.encode("latin-1")
    head = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    if environ.get("PATH_INFO", "").startswith("/rich"):
        head += RICH
    start_response("200 OK", head)
    return [body]
