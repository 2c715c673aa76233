"""Pages for the value formats: with the headers that a bare body loses, of other
types, one too short to compress, and a redirect."""

HEAD = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("ETag", '"v1"'),
    ("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT"),
    ("Content-Security-Policy", "default-src 'self'"),
    ("Content-Language", "de"),
    ("Link", "</next>; rel=next"),
    ("Link", "</up>; rel=up"),
    ("Cache-Control", "max-age=600"),
]


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    status, head, body = "200 OK", [("Content-Type", "text/html; charset=utf-8")], b"<p>hello</p>" * 200
    if path == "/rich":
        head = HEAD
    elif path == "/data":
        head, body = [("Content-Type", "application/json")], b'{"a": 1}'
    elif path == "/short":
        body = b"hello"
    elif path == "/moved":
        status, head, body = "301 Moved Permanently", head + [("Location", "/rich")], b""
    elif path == "/gone":
        status, body = "410 Gone", b"gone"
    start_response(status, head + [("Content-Length", str(len(body)))])
    return [body]
