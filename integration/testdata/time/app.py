"""Pages that change: each is what a file of its name beside this one says. The first line
is the status, then come header lines, then an empty line and the body. A POST puts what
the file of that name and ".next" says in its place, after a while."""
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def application(environ, start_response):
    name = os.path.join(HERE, environ["PATH_INFO"].strip("/"))
    if environ["REQUEST_METHOD"] == "POST":
        with open(name + ".begun", "w"):
            pass
        time.sleep(0.3)
        os.replace(name + ".next", name)
        start_response("303 See Other", [("Location", environ["PATH_INFO"]), ("Content-Length", "0")])
        return [b""]
    with open(name) as f:
        head, _, body = f.read().partition("\n\n")
    status, *lines = head.split("\n")
    body = body.encode()
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, headers + [tuple(line.split(": ", 1)) for line in lines])
    return [body]
