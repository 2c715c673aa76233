"""A page under every URL. It says what was asked, and by whom, and includes others:
/page/2 includes two fragments, and /fragments/in/1 a fragment. The number of its copy is in
front."""

import itertools
import os

copies = itertools.count(1)


def who(environ):
    cookies = dict(c.strip().partition("=")[::2] for c in environ.get("HTTP_COOKIE", "").split(";"))
    return cookies.get("sessionid") or cookies.get("theme") or "anyone"


def application(environ, start_response):
    path, query, status, more = environ["PATH_INFO"], environ["QUERY_STRING"], "200 OK", []
    asking = who(environ)
    if path.startswith("/accel/"):
        more = [("X-Accel-Redirect", path[6:] + ("?" + query if query else ""))]
    elif path.endswith("/fresh"):
        more, asking = [("Cache-Control", "max-age=600")], "all"
    elif path.endswith("/private"):
        more = [("Cache-Control", "private")]
    elif path.endswith("/auth") and "no=1" in environ.get("HTTP_COOKIE", ""):
        status = "403 No"
    text = "{%s?%s %s" % (path, query, asking)
    if path.startswith("/page/"):
        text += "".join('<!--#include virtual="%s" -->' % u for u in ["/fragments/fresh", "/fragments/menu?x=1", "/other/part", "/fragments/in/a"])
    elif path.startswith("/fragments/in/"):
        text += '<!--#include virtual="/fragments/menu?x=2" -->'
    body = ("(%d.%d)%s}\n" % (os.getpid(), next(copies), text)).encode("latin-1")
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))] + more)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
