"""Pages that say what the application has seen of the URL."""

INCLUDES = {
    "/member": ["/frag?in=member"],
    "/two": ["/uri/frag1", "/uri/frag2"],
    "/self": ["/self?part=1"],
    "/uri/two": ["/uri/frag3", "/uri/frag4"],
}
PRIVATE = {"/member", "/two", "/uri/two", "/accel", "/inner/secret"}


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path == "/maintained" and query == "down":
        start_response("503 Down", [("Content-Length", "0")])
        return [b""]
    head = [("Content-Type", "text/html; charset=utf-8")]
    head.append(("Cache-Control", "private, no-store" if path in PRIVATE else "public, max-age=600"))
    status = "404 Not Found" if path.startswith("/missing") else "200 OK"
    if path == "/accel":
        head.append(("X-Accel-Redirect", "/inner/secret"))
    body = "[%s://%s%s %s]" % (environ["wsgi.url_scheme"], environ.get("HTTP_HOST", "-"), path, query)
    body += environ.get("HTTP_X_FORWARDED_PROTO", "")
    if not query.startswith("part"):
        body += "".join('<!--# include virtual="%s" -->' % v for v in INCLUDES.get(path, []))
    body = body.encode()
    head.append(("Content-Length", str(len(body))))
    start_response(status, head)
    return [body]
