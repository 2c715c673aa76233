"""Pages for crowds: one for all, one for each visitor, one private for half of them,
some that do not live long, and one that waits until a file named "open" lies beside this
one, so that a crowd can gather."""
import os
import time

OPEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "open")


def application(environ, start_response):
    path, user = environ["PATH_INFO"], environ.get("HTTP_X_USER", "nobody")
    private = path == "/private" or path == "/half" and int(user) % 2 == 0
    body = f"<p>{path} for {user if private else 'all'}</p>".encode()
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    if private:
        headers.append(("Cache-Control", "private"))
    elif path.startswith("/short/"):
        headers.append(("Cache-Control", "max-age=5, stale-if-error=60"))
    elif path.startswith("/brief/"):
        headers.append(("Cache-Control", "max-age=10"))
    time.sleep({"/cold": 1}.get(path, 0.01))
    while path == "/held" and not os.path.exists(OPEN):
        time.sleep(0.005)
    start_response("200 OK", headers)
    return [body]
