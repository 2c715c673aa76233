"""Pages with fragments. All say how they were asked, and each copy has a number."""

import gzip
import itertools
import os

copies = itertools.count(1)

NAMES = ["REQUEST_METHOD", "REQUEST_URI", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH", "HTTP_IF_NONE_MATCH", "HTTP_RANGE"]

PAGE = """<p>Page</p>
<!--#include virtual="/fragments/hello" -->
<!--#include virtual="/fragments/menu?x=%26b" -->
<!--#include virtual="/fragments/menu?x=c" -->
<!--#include virtual="/fragments/missing" -->
<!--#include virtual="/elsewhere" -->
<p>End</p>
"""


def application(environ, start_response):
    path, status, more, say = environ["PATH_INFO"], "200 OK", [], ""
    sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if path == "/fragments/hello":
        say = "Hello %s" % (environ.get("HTTP_COOKIE", "").partition("sessionid=")[2] or "stranger")
        more = [("Cache-Control", "private")]
    elif path == "/fragments/missing":
        status = "404 Not Found"
    told = ", ".join("%s=%s" % (n, environ[n]) for n in NAMES if environ.get(n))
    text = "<i>%d.%d %s [%s] %d sent</i>\n" % (os.getpid(), next(copies), say, told, len(sent))
    if path.startswith("/page"):
        text = PAGE + text
    body = text.encode("latin-1")
    if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
        body = gzip.compress(body)
        more.append(("Content-Encoding", "gzip"))
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))] + more)
    return [body]
