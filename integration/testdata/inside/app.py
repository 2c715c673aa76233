"""Pages that say what the worker was asked for. nginx sends more than visitors'
requests: fragments, checks, and what it redirects by itself."""


def application(environ, start_response):
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    status, head = "200 OK", [("Content-Type", "text/html; charset=utf-8")]
    body = "[%s %s]" % (path, query)
    first, _, rest = path.strip("/").partition("/")
    if first == "with":  # a page with a fragment, perhaps one that has a fragment itself
        body += '<!--# include virtual="/%s" -->' % rest
    elif first == "mine":  # a page of one visitor alone
        head.append(("Cache-Control", "private"))
        body += '<!--# include virtual="/%s" -->' % rest if rest else ""
    elif first == "go":  # nginx serves something else in its place
        head += [("X-Accel-Redirect", "/" + rest), ("Cache-Control", "private, no-store")]
    elif first == "status":
        status = rest + " Status"
    elif first == "guard" and environ.get("HTTP_X_TICKET") != "yes":
        status = "401 Unauthorized"
    body = body.encode()
    start_response(status, head + [("Content-Length", str(len(body)))])
    return [body]
