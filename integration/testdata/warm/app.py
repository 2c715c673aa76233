"""A shop with a sitemap. RELEASE is which release of it this is: the second differs in some pages."""

import gzip
import os
import time

RELEASE = os.environ.get("RELEASE", "1")
CONTENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "content")


def locations(env, element, paths):
    site = "http://" + env["HTTP_HOST"]
    return "".join("<%s><loc>%s%s</loc></%s>\n" % (element, site, path, element) for path in paths)


def index(env):
    other = "<sitemap><loc>http://other.example/sitemap.xml</loc></sitemap>" if env["QUERY_STRING"] == "other" else ""
    return "<sitemapindex>" + locations(env, "sitemap", ["/pages.xml.gz"]) + other + "</sitemapindex>"


def urlset(env):
    more = ["/broken"] if env["QUERY_STRING"] == "broken" else []
    paths = ["/page/%d?a=1&amp;b=2" % n for n in range(20)] + ["/page/caf%C3%A9/a%2Fb", "/big", "/cookie", "/missing"] + more
    return "<urlset>" + locations(env, "url", paths) + "<url><loc>http://other.example/page/1</loc></url></urlset>"


def content():
    """What an editor has written."""
    if not os.path.exists(CONTENT):
        return "<p>News of yesterday</p>"
    with open(CONTENT) as f:
        return f.read()


def page(env):
    """A page that differs each time, in what a comparison must not look at."""
    n = time.monotonic_ns() // 1000 % 2**31  # no two workers have the same
    return """<!DOCTYPE html>
<html><head><link rel="stylesheet" href="/static/site.%012x.css">
<script nonce="%032x">var request = "%08x-0000-4000-8000-%012x";</script></head>
<body><h1>%s</h1>
%s
<p>Made at %s.</p>
</body></html>
""" % (int(RELEASE) * 0x1b5e7cbb9ba4, n * 7919, n, n, env["PATH_INFO"], content(), time.strftime("%Y-%m-%d %H:%M:%S") + "." + str(n))


def application(env, start_response):
    path, status, headers, body = env["PATH_INFO"], "200 OK", [], ""
    content_type = "text/html; charset=utf-8"
    if path == "/sitemap.xml":
        body, content_type = index(env), "text/xml"
    elif path == "/pages.xml.gz":
        body, content_type = gzip.compress(urlset(env).encode()), "application/octet-stream"
        headers.append(("Cache-Control", "no-store"))
    elif path == "/broken" or path == "/page/breaks" and RELEASE != "1":
        status, body = "500 Internal Server Error", "broken"
    elif path == "/missing" or path == "/page/goes" and RELEASE != "1":
        status, body = "404 Not Found", "missing"
    elif path == "/cookie" or path == "/page/cookie" and RELEASE != "1":
        headers.append(("Set-Cookie", "sessionid=1"))
        body = page(env)
    elif path == "/big":
        body = page(env) + "<!-- " + "x" * 300000 + " -->"
    else:
        body = page(env)
        if path == "/page/changes" and RELEASE != "1":
            body = body.replace("<h1>", "<h1>New: ")
    if isinstance(body, str):
        body = body.encode("latin-1")
    start_response(status, headers + [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
