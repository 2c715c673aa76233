"""Pages that a cache must not get in the way of."""

from urllib.parse import parse_qs

TAG, MODIFIED = '"v1"', "Sat, 01 Jan 2022 00:00:00 GMT"
TEXT = b"0123456789"


def application(environ, start_response):
    page = PAGES[environ["PATH_INFO"]]
    args = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    return page(environ, start_response, **args)


def part(environ, start_response, **_):
    """A file of ten bytes that knows preconditions and ranges."""
    validators = [("ETag", TAG), ("Last-Modified", MODIFIED)]
    if environ.get("HTTP_IF_MATCH", TAG) not in (TAG, "*"):
        return answer(start_response, b"", "412 Precondition Failed", validators)
    if environ.get("HTTP_IF_UNMODIFIED_SINCE", MODIFIED) < MODIFIED:  # of one length, and the tests differ by the day's name
        return answer(start_response, b"", "412 Precondition Failed", validators)
    wanted = environ.get("HTTP_RANGE")
    if wanted is None or environ.get("HTTP_IF_RANGE", TAG) != TAG:
        return answer(start_response, TEXT, more=validators)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    first, last = int(first), int(last or 9)
    if first > 9:
        return answer(start_response, b"", "416 Range Not Satisfiable", validators + [("Content-Range", "bytes */10")])
    return answer(start_response, TEXT[first:last + 1], "206 Partial Content",
                  validators + [("Content-Range", "bytes %d-%d/10" % (first, last))])


def environ_(environ, start_response, **_):
    """Tells the variables that the tests send."""
    names = ["PATH_INFO", "HTTP_HOST", "HTTP_X_TENANT", "HTTP_ACCEPT_LANGUAGE", "HTTP_COOKIE", "TENANT"]
    text = "".join("%s=%s\n" % (n, environ[n]) for n in names if n in environ).encode()
    return answer(start_response, text, more=[("Vary", "Accept-Language")])


def status(environ, start_response, code):
    return answer(start_response, b"", code + " Whatever") if code == "304" else answer(start_response, code.encode(), code + " Whatever")


def head(environ, start_response, size):
    """A head of exactly that size, from the status line to the blank line."""
    lines = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "5"), ("X-Fill", "")]
    small = len(environ["SERVER_PROTOCOL"] + " 200 OK\r\n") + sum(len(n) + len(v) + 4 for n, v in lines) + 2
    lines[-1] = ("X-Fill", "x" * (int(size) - small))
    start_response("200 OK", lines)
    return [b"hello"]


def large(environ, start_response, mib):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(int(mib) << 20))])
    return (b"x" * (1 << 20) for _ in range(int(mib)))


def length(environ, start_response, **_):
    """Tells the body's length, as announced and as it came."""
    body = environ["wsgi.input"].read()
    return answer(start_response, ("%s %s %d" % (environ["REQUEST_METHOD"], environ.get("CONTENT_LENGTH"), len(body))).encode())


def announced(environ, start_response, **_):
    """Tells the body's length as announced, and reads none of it."""
    return answer(start_response, ("%s %s" % (environ["REQUEST_METHOD"], environ.get("CONTENT_LENGTH"))).encode())


def untold(environ, start_response, type):
    """A page in a legacy encoding, which may say so in itself alone."""
    text = b"<meta charset=iso-8859-1>caf\xe9"
    start_response("200 OK", [("Content-Type", type), ("Content-Length", str(len(text)))])
    return [text]


def answer(start_response, text, status="200 OK", more=()):
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(text))), *more])
    return [text]


PAGES = {"/part": part, "/environ": environ_, "/status": status, "/php": status, "/head": head, "/5k/head": head, "/8k/head": head, "/large": large, "/guarded/length": length,
         "/told/length": length, "/mirrored/length": length, "/auth": announced, "/auth-told": length, "/copy": announced,
         "/bodiless/announced": announced, "/length": length, "/untold": untold}
