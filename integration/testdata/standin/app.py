"""Pages with a head of the size that the URL wants, and a count of POSTs."""

import fcntl
import os


def count(method):
    """Adds one to the count of POSTs, which all workers share, and returns it."""
    with open("posts", "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        if method == "POST":
            f.write("x")
            f.flush()
        return os.fstat(f.fileno()).st_size


def application(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"<p>%d POSTs</p>" % count(environ["REQUEST_METHOD"])
    head = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    size = environ["QUERY_STRING"].partition("head=")[2]
    if size:
        lines = "".join("%s: %s\r\n" % h for h in head)
        rest = int(size) - len("HTTP/1.1 200 OK\r\n" + lines + "\r\n") - len("X-Large: \r\n")
        head.append(("X-Large", "x" * rest))
    start_response("200 OK", head)
    return [body]
