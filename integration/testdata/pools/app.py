"""Pages that say which pool has made them, for which host."""

import os

POOL = os.environ.get("POOL", "site")


def application(environ, start_response):
    query = environ["QUERY_STRING"]
    body = "<p>%s for %s%s</p>" % (POOL, environ["HTTP_HOST"], environ["PATH_INFO"] + ("?" + query if query else ""))
    body = body.encode("latin1")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
