"""A page under every URL that shows what the application was asked. Its copies differ in
their number only."""

import hashlib
import itertools
import os
import time

copies = itertools.count(1)

NAMES = ["REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_HX_REQUEST", "HTTP_RANGE",
         "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL", "HTTP_TE", "HTTP_X_TENANT"]

HEAD = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"), ("X-Weird", 'a;b "c" {d}')]


def note(environ):
    """Appends a line to the file calls."""
    with open("calls", "a") as calls:
        calls.write("%s %s\n" % (environ["REQUEST_METHOD"], environ["PATH_INFO"]))


def application(environ, start_response):
    path, status, more = environ["PATH_INFO"], "200 OK", []
    note(environ)
    sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    lines = ["Copy %07d.%07d" % (os.getpid(), next(copies)), "Sent %d %s" % (len(sent), hashlib.md5(sent).hexdigest()),
             "Scheme %s %s" % (environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO", ""))]
    lines += ["%s=%s" % (n, environ[n]) for n in NAMES if environ.get(n)]
    if path.startswith("/fresh"):
        more = [("Cache-Control", "max-age=600")]
    elif path.startswith("/private"):
        more = [("Cache-Control", "private")]
    elif path.startswith("/slow"):
        time.sleep(float(path[6:] or environ["QUERY_STRING"]))
    elif path.startswith("/status/"):
        status = path[8:11] + " Asked"
    elif path.startswith("/accel/"):
        more = [("X-Accel-Redirect", path[6:])]
    elif path.startswith("/auth"):
        status = "204 Yes" if "no" not in environ.get("HTTP_COOKIE", "") else "403 No"
    elif path.startswith("/large/"):
        lines.append("x" * int(path[7:]))
    elif path.startswith("/parts"):
        lines.append('<!--#include virtual="/part?n=1" -->')
    body = "".join("<p>%s</p>\n" % line for line in lines).encode("latin-1")
    if environ["REQUEST_METHOD"] == "HEAD":
        sent = []
    else:
        sent = [body]
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body))), *HEAD, *more])
    return sent
