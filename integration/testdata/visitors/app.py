"""Pages that show who asks, and say nothing of it."""

NAMES = ["HTTP_COOKIE", "HTTP_X_API_KEY", "HTTP_HX_REQUEST", "HTTP_X_VHM_ROOT", "HTTP_X_UP_TARGET", "HTTP_AUTHORIZATION", "HTTP_X_TENANT",
         "SSL_CLIENT_S_DN", "TENANT"]


def application(environ, start_response):
    path, more = environ["PATH_INFO"], []
    if path.startswith("/fresh"):
        more = [("Cache-Control", "max-age=60")]
    elif path.startswith("/public"):
        more = [("Cache-Control", "public, max-age=60")]
    elif path.startswith("/member"):
        more = [("Cache-Control", "private")]
    text = path + "".join(" %s=%s" % (n, environ[n]) for n in NAMES if environ.get(n) or n == "HTTP_HX_REQUEST" and n in environ)
    if path.startswith("/auth"):
        text = ""
    if "/with-fragment" in path:
        text += ' <!--#include virtual="/fragment?n=1" -->'
    if path == "/fragment":
        text = "[fragment %s]" % environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(text))), *more])
    return [text.encode("latin1")]
