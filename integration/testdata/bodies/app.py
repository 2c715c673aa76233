"""Pages for large and awkward bodies."""

import hashlib
import os
import time
from urllib.parse import parse_qs

MIB = 1 << 20


def application(environ, start_response):
    page = PAGES[environ["PATH_INFO"]]
    args = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    return page(environ, start_response, **args)


def refuse(environ, start_response, status, framed="yes"):
    """Answers without reading the body."""
    text = b"refused"
    head = [("Content-Length", str(len(text)))] if framed == "yes" else []
    start_response(status + " Refused", head)
    return [text]


def digest(environ, start_response):
    """Tells the body's length and digest."""
    sha, size = hashlib.sha256(), 0
    while part := environ["wsgi.input"].read(256 << 10):
        sha.update(part)
        size += len(part)
    return answer(start_response, "%d %s" % (size, sha.hexdigest()))


def large(environ, start_response, mib):
    """Writes its page before it reads anything."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(int(mib) * MIB))])
    return large_parts(environ, int(mib))


def large_parts(environ, mib):
    part = b"x" * MIB
    for _ in range(mib):
        yield part
    while environ["wsgi.input"].read(256 << 10):
        pass


def slow(environ, start_response):
    time.sleep(1)
    return answer(start_response, "slow")


def killed(environ, start_response):
    """Is gone in mid-answer, with the body unread: the kernel resets the connection."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return killed_parts()


def killed_parts():
    yield b"<html>" + b"x" * 10000 + b"</html>"
    os._exit(1)


def answer(start_response, text):
    text = text.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


PAGES = {"/refuse": refuse, "/digest": digest, "/large": large, "/slow": slow, "/killed": killed}
