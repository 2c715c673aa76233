"""Pages that make the faults of the table in docs/faults.md, each under any folder."""

import os
import socket
import struct
import time
from urllib.parse import parse_qsl

import uwsgi

NODE = os.environ["NODE"]
MIB = 1 << 20


def application(environ, start_response):
    page = PAGES[environ["PATH_INFO"].rsplit("/", 1)[-1]]
    return page(environ, start_response, **dict(parse_qsl(environ["QUERY_STRING"])))


def answer(start_response, text, status="200 OK"):
    body = text.encode()
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


def who(environ, start_response, **_):
    """Tells which node answers."""
    return answer(start_response, NODE)


def slow(environ, start_response, s, **_):
    time.sleep(float(s))
    return answer(start_response, NODE)


def pid(environ, start_response, **_):
    return answer(start_response, str(os.getpid()))


def silent(environ, start_response, node, **_):
    """Ends without a byte on that node."""
    if NODE == node:
        raise RuntimeError("this page was asked to fail")
    return answer(start_response, NODE)


def refuse(environ, start_response, **_):
    """Answers without reading the body."""
    return answer(start_response, "refused", "403 Forbidden")


def large(environ, start_response, mib, **_):
    """Writes its whole page before it reads anything."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(int(mib) * MIB))])
    for _ in range(int(mib)):
        yield b"x" * MIB
    while environ["wsgi.input"].read(MIB):
        pass


def length(environ, start_response, **_):
    """Tells how much of a body came."""
    size = 0
    while part := environ["wsgi.input"].read(MIB):
        size += len(part)
    return answer(start_response, str(size))


def short(environ, start_response, **_):
    """Promises 20,000 bytes and sends half of them."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "20000")])
    return [b"x" * 10_000]


def reset(environ, start_response, **_):
    """Sends half a page without a length and resets the connection."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    connection = socket.socket(fileno=os.dup(uwsgi.connection_fd()))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    yield b"x" * 10_000
    time.sleep(0.05)  # what the peer has not read yet would be lost
    connection.close()


PAGES = {page.__name__: page for page in (who, slow, pid, silent, refuse, large, length, short, reset)}
