"""Pages that wait until a file named "open" lies beside this one, so that a crowd can
gather, and that differ by who asks."""

import gzip
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def application(environ, start_response):
    path, head = environ["PATH_INFO"], []
    if not path.startswith("/now/"):
        wait()
    name = path.rsplit("/", 1)[-1]
    if name == "crash" and "long" in environ.get("HTTP_USER_AGENT", ""):
        os._exit(1)
    if name == "endless":
        return endless(start_response, path.startswith("/chunks/"))
    if name == "half":
        return half(start_response)
    cookie = environ.get("HTTP_COOKIE", "")
    body = ("<p>%s for %s</p>" % (path, "dark" if "theme=dark" in cookie else "all")).encode()
    kind = "text/html; charset=utf-8"
    if name.startswith("json"):
        kind = "application/json"
    if name.startswith("private"):
        head.append(("Cache-Control", "private"))
    if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
        body = gzip.compress(body)
        head.append(("Content-Encoding", "gzip"))
    head += [("Content-Type", kind), ("Vary", "Accept-Encoding"), ("Content-Length", str(len(body)))]
    start_response("200 OK", head)
    return [body]


def wait():
    while not os.path.exists(os.path.join(HERE, "open")):
        time.sleep(0.005)


def endless(start_response, chunked):
    """A page that ends when the test does, without a length or in chunks."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")] + [("Transfer-Encoding", "chunked")] * chunked)
    piece = b"<p>more</p>\n" * 100
    if chunked:
        piece = b"%x\r\n%s\r\n" % (len(piece), piece)
    for _ in range(100):  # more than nginx's buffers take
        yield piece
    while not os.path.exists(os.path.join(HERE, "end")):
        yield piece
        time.sleep(0.05)
    yield b"0\r\n\r\n" if chunked else b"</html>"


def half(start_response):
    """A page whose second half comes when a file named "end" lies beside this one."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "100000")])
    yield b"x" * 50000
    while not os.path.exists(os.path.join(HERE, "end")):
        time.sleep(0.005)
    yield b"x" * 50000
