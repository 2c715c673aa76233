"""Pages whose content is that of the file "content" beside this one. While there is a file
"hold", a page waits until it is gone. The argument tags of a URL gives tags to its page, and
the header X-Field of a request that is no GET a field to its response."""
import os
import time
from urllib.parse import parse_qs

HERE = os.path.dirname(os.path.abspath(__file__))


def application(environ, start_response):
    content = read("content")
    head = [("Content-Type", "text/html; charset=utf-8")]
    query = parse_qs(environ["QUERY_STRING"])
    if environ["REQUEST_METHOD"] == "GET":
        head += [(name, value) for name in ("Cache-Tag", "Surrogate-Key", "Cache-Groups") for value in query.get(name, [])]
        while os.path.exists(os.path.join(HERE, "hold")):
            time.sleep(0.005)
    elif "HTTP_X_FIELD" in environ:
        head.append(tuple(environ["HTTP_X_FIELD"].split(": ", 1)))
    status = "200 OK"
    if environ["PATH_INFO"] in read("gone").split():
        status = "404 Not Found"
    body = ("<p>%s at %s</p>\n" % (content, environ["PATH_INFO"])).encode() + b"<p>filler</p>\n" * 100
    start_response(status, head + [("Content-Length", str(len(body)))])
    return [body]


def read(name):
    try:
        with open(os.path.join(HERE, name)) as f:
            return f.read()
    except FileNotFoundError:
        return ""
