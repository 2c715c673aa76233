"""
Pages that have leaked out of caches in the wild, and pages that are right to
replay to everyone. Plain WSGI, one URL a case; "/" lists them all.

A page says what it was made from, and ends with a number that no other copy
has: so a visitor who is shown somebody else's copy can be told from one who got
his own.

Some leaks do not happen every time. A page below /broken/ breaks only for the
visitor whose request has an X-Break header, and is right for the next.
"""
import base64
import gzip
import itertools
import os
import time
import uuid
from email.utils import formatdate

PAGES = {}  # path: function of the environ that returns (status, lines, chunks)


def application(environ, start_response):
    view = PAGES.get(environ["PATH_INFO"], anything)
    status, lines, chunks = view(environ)
    start_response(status, [tuple(line.split(": ", 1)) for line in lines])
    return chunks


def page(path):
    """Puts a function under a path."""
    def put(view):
        PAGES[path] = view
        return view
    return put


def copy(text):
    """One copy of a page, as bytes."""
    return (
        f"<!doctype html>\n<title>A page</title>\n<p>{text}</p>\n"
        f"<p>Copy {uuid.uuid4()}</p>\n</html>\n"
    ).encode()


def whole(body, *lines, status="200 OK"):
    """An answer with its type and length, unless a line says another."""
    if isinstance(body, str):
        body = copy(body)
    given = {line.split(":")[0].lower() for line in lines}
    usual = ["Content-Type: text/html; charset=utf-8", f"Content-Length: {len(body)}"]
    return status, [u for u in usual if u.split(":")[0].lower() not in given] + list(lines), [body]


def chunked(chunks, *lines, end=b"0\r\n\r\n"):
    """An answer in chunks. The end is the last one, with trailers if any."""
    framed = itertools.chain((b"%x\r\n%s\r\n" % (len(c), c) for c in chunks), [end])
    return "200 OK", ["Content-Type: text/html; charset=utf-8", "Transfer-Encoding: chunked", *lines], framed


def thirds(body):
    """A body in three pieces."""
    n = len(body) // 3
    return [body[:n], body[n:2 * n], body[2 * n:]]


def header(environ, name, otherwise=""):
    return environ.get("HTTP_" + name.upper().replace("-", "_"), otherwise)


def cookie(environ, name, otherwise):
    for pair in header(environ, "Cookie").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return otherwise


def at(seconds):
    """A date that far from now."""
    return formatdate(time.time() + seconds, usegmt=True)


@page("/")
def index(environ):
    return whole("\n".join(PAGES).encode(), "Content-Type: text/plain", "Cache-Control: no-store")


def anything(environ):
    """Every other URL has a page, however awkward it is. It changes by other
    methods than GET, with the status and the locations that X-Answer wishes for:
    "303 See Other; Location: /other"."""
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return whole(repr((environ["PATH_INFO"], environ["QUERY_STRING"])))
    status, *lines = header(environ, "X-Answer", "200 OK").split("; ")
    return whole("Done.", *lines, status=status)


# --- Who is asking -----------------------------------------------------------


@page("/member")
@page("/member/style.css")
def member(environ):
    return whole(f"Hello, {cookie(environ, 'sessionid', 'stranger')}.")


@page("/theme")
def theme(environ):
    """Reads a cookie and says nothing about it."""
    return whole(f"The theme is {cookie(environ, 'theme', 'light')}.")


@page("/theme/told")
def theme_told(environ):
    """Reads a cookie, and says so."""
    return whole(f"Hello, {cookie(environ, 'sessionid', 'stranger')}; the theme is {cookie(environ, 'theme', 'light')}.",
                 "Vary: Cookie")


@page("/basic")
def basic(environ):
    _, _, credentials = header(environ, "Authorization").partition(" ")
    name = base64.b64decode(credentials).partition(b":")[0].decode()
    return whole(f"Hello, {name or 'stranger'}.")


@page("/agent")
def agent(environ):
    return whole(f"This is for {header(environ, 'User-Agent', 'nobody')}.", "Vary: User-Agent")


@page("/language")
def language(environ):
    return whole(f"This is in {header(environ, 'Accept-Language', 'en')}.", "Vary: Accept-Encoding, Accept-Language")


@page("/negotiated")
def negotiated(environ):
    """Answers scripts with JSON, and says nothing about it."""
    if "json" in header(environ, "Accept"):
        return whole(b'{"name": "<script>alert(1)</script>"}', "Content-Type: application/json")
    return whole("This is for people.")


CARRIED = ["X-Api-Key", "Private-Token", "X-Forwarded-User", "Cf-Access-Jwt-Assertion", "X-Amzn-Oidc-Data", "Remote-User", "X-Tenant", "Cookie",
           "HX-Request", "Turbo-Frame", "X-Up-Target", "X-VHM-Root"]


@page("/carried")
def carried(environ):
    """Shows what the visitor carries, and says nothing about it."""
    shown = [f"{name}={header(environ, name)}" for name in CARRIED if "HTTP_" + name.upper().replace("-", "_") in environ]
    return whole(f"Carried: {'; '.join(shown) or 'nothing'}.")


# --- Which page is asked for -------------------------------------------------


@page("/link")
def link(environ):
    """Makes an absolute link, as frameworks do that trust a proxy."""
    forwarded = dict(part.strip().partition("=")[::2] for part in header(environ, "Forwarded").lower().split(";"))
    host = (header(environ, "X-Forwarded-Host") or header(environ, "X-Host") or header(environ, "X-Forwarded-Server")
            or forwarded.get("host") or header(environ, "Host"))
    scheme = header(environ, "X-Forwarded-Scheme") or header(environ, "X-Forwarded-Proto") or environ["wsgi.url_scheme"]
    port = header(environ, "X-Forwarded-Port", "")
    prefix = header(environ, "X-Forwarded-Prefix")
    return whole(f'<a href="{scheme}://{host}{":" + port if port else ""}{prefix}/login">Log in</a>')


@page("/rewritten")
def rewritten(environ):
    """Serves another page than the URL says, as frameworks do behind IIS."""
    path = header(environ, "X-Original-URL") or header(environ, "X-Rewrite-URL") or environ["PATH_INFO"]
    return whole(f"This is {path}.")


@page("/method")
def method(environ):
    """Does what another method than the request's asks for."""
    name = (header(environ, "X-HTTP-Method-Override") or header(environ, "X-HTTP-Method")
            or header(environ, "X-Method-Override") or environ["REQUEST_METHOD"])
    return whole(f"You did {name}.")


@page("/upload")
def upload(environ):
    """Reads the body that the request announces."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return whole(f"You sent {len(body)} bytes.")


@page("/held")
def held(environ):
    """Shows what it was when it was asked for, and comes when somebody has opened
    the FIFO of the name in the query, and closed it."""
    if environ["REQUEST_METHOD"] != "GET":
        return anything(environ)
    body = copy("This was held.")
    with open(environ["QUERY_STRING"]) as gate:
        gate.read()
    return whole(body)


@page("/asked")
def asked(environ):
    """Shows what a whole page must not depend on."""
    names = ["HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_MATCH",
             "HTTP_IF_UNMODIFIED_SINCE", "HTTP_ACCEPT_ENCODING"]
    return whole(f"Asked with {[n for n in names if n in environ]}.",
                 'ETag: "v1"', "Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT", "Vary: Accept-Encoding")


# --- Tokens ------------------------------------------------------------------

TOKENS = ["csrfmiddlewaretoken", "csrf_token", "authenticity_token"]


def form(name):
    return copy(f'<form method="post"><input type="hidden" name="{name}" value="{uuid.uuid4().hex}"></form>')


def parted(body, name):
    """The body in pieces whose borders run through the word."""
    i = body.index(name.encode())
    return [body[:i + 4], body[i + 4:i + 9], body[i + 9:]]


def slowly(chunks):
    """Sends each piece by itself."""
    for chunk in chunks:
        yield chunk
        time.sleep(0.02)


for token in TOKENS:
    PAGES[f"/form/{token}"] = lambda environ, token=token: whole(form(token))
    PAGES[f"/form/chunked/{token}"] = lambda environ, token=token: chunked(slowly(parted(form(token), token)))


@page("/form/slow")
def form_slow(environ):
    body = form(TOKENS[0])
    status, lines, _ = whole(body)
    return status, lines, slowly(parted(body, TOKENS[0]))


# --- Pages that break --------------------------------------------------------


def broken(path):
    """The function's answer for a visitor with X-Break, a right page for others."""
    def put(view):
        PAGES["/broken/" + path] = lambda environ: view(environ) if header(environ, "X-Break") else whole("This is whole.")
        return view
    return put


HALF = copy("This is half a page.")[:60]


def promised(length, chunks):
    """Announces another length than it sends."""
    return "200 OK", ["Content-Type: text/html; charset=utf-8", f"Content-Length: {length}"], chunks


def dying(*chunks):
    yield from chunks
    os._exit(1)


@broken("short")
def short(environ):
    return promised(2 * len(HALF), [HALF])


@broken("short-tagged")
def short_tagged(environ):
    status, lines, chunks = short(environ)
    return status, [*lines, 'ETag: "v1"'], chunks


@broken("long")
def long(environ):
    body = copy("This is too much.")
    return promised(len(body) - 8, [body])


@broken("dies")
def dies(environ):
    return promised(2 * len(HALF), dying(HALF))


@broken("dies-in-a-chunk")
def dies_in_a_chunk(environ):
    return chunked(dying(HALF))


@broken("dies-unframed")
def dies_unframed(environ):
    return "200 OK", ["Content-Type: text/html; charset=utf-8"], dying(HALF)


@broken("no-last-chunk")
def no_last_chunk(environ):
    return chunked([HALF], end=b"")


@broken("no-last-line")
def no_last_line(environ):
    """The last chunk, without the blank line that ends the trailers."""
    return chunked([HALF], end=b"0\r\n")


@broken("bad-chunk")
def bad_chunk(environ):
    return chunked([HALF], end=b"five\r\nhello\r\n0\r\n\r\n")


@broken("trailers")
def trailers(environ):
    return chunked([copy("This has a checksum.")], "Trailer: Digest", end=b"0\r\nDigest: sha-256=x\r\n\r\n")


@broken("length-and-chunks")
def length_and_chunks(environ):
    return chunked([copy("This is framed twice.")], "Content-Length: 5")


@broken("chunked-twice")
def chunked_twice(environ):
    return chunked([copy("This is framed twice.")], "Transfer-Encoding: chunked")


@broken("compressed-chunks")
def compressed_chunks(environ):
    status, lines, chunks = chunked([gzip.compress(copy("This is compressed."))])
    return status, [line.replace("chunked", "gzip, chunked") for line in lines], chunks


@broken("two-lengths")
def two_lengths(environ):
    return whole("This is framed twice.", "Content-Length: 7", "Content-Length: 70")


@broken("unframed")
def unframed(environ):
    return "200 OK", ["Content-Type: text/html; charset=utf-8"], [copy("This ends somewhere.")]


@broken("unframed.txt")
def unframed_text(environ):
    return "200 OK", ["Content-Type: text/plain; charset=utf-8"], [copy("This ends somewhere.")]


@broken("unframed-form")
def unframed_form(environ):
    return "200 OK", ["Content-Type: text/html; charset=utf-8"], [form(TOKENS[0])]


@broken("empty")
def empty(environ):
    return whole(b"")


@broken("empty-chunked")
def empty_chunked(environ):
    return chunked([])


@broken("too-large")
def too_large(environ):
    return whole(b"<p>This is large</p>" * (1 << 16))


@broken("too-large-chunked")
def too_large_chunked(environ):
    return chunked([b"<p>This is large</p>" * (1 << 12)] * 16)


@broken("compressed")
def compressed(environ):
    return whole(gzip.compress(copy("This is compressed.")), "Content-Encoding: gzip")


@broken("compressed-chunked")
def compressed_chunked(environ):
    return chunked(thirds(gzip.compress(copy("This is compressed."))), "Content-Encoding: gzip")


@broken("brotli")
def brotli(environ):
    return whole("This says it is compressed.", "Content-Encoding: br")


@broken("part")
def part(environ):
    return whole(b"<p>This is a part", "Content-Range: bytes 0-16/170", status="206 Partial Content")


@broken("part-as-a-whole")
def part_as_a_whole(environ):
    return whole(b"<p>This is a part", "Content-Range: bytes 0-16/170")


@broken("untyped")
def untyped(environ):
    status, lines, chunks = whole("This has no type.")
    return status, lines[1:], chunks


@broken("accel-redirect")
def accel_redirect(environ):
    return whole("This is not the page.", "X-Accel-Redirect: /asked")


@broken("sendfile")
def sendfile(environ):
    return whole("This is not the page.", "X-Sendfile: /srv/page.html")


@broken("challenge")
def challenge(environ):
    return whole("Who are you?", 'WWW-Authenticate: Basic realm="x"')


STATUSES = ["201 Created", "203 Non-Authoritative Information", "301 Moved Permanently", "302 Found", "303 See Other",
            "307 Temporary Redirect", "400 Bad Request", "403 Forbidden", "404 Not Found", "410 Gone", "429 Too Many Requests",
            "500 Internal Server Error", "503 Service Unavailable"]

for status in STATUSES:
    broken(status[:3])(lambda environ, status=status: whole(
        f"This is {status}.", *(["Location: /asked"] if status[0] == "3" else []), "Cache-Control: max-age=600", status=status))


# --- Heads -------------------------------------------------------------------

HEADS = {  # path: what the answer's head has besides type and length, or in their place
    # The application says no.
    "/set-cookie": ["Set-Cookie: basket=17; Path=/"],
    "/set-cookie/fresh": ["Set-Cookie: basket=17; Path=/", "Cache-Control: public, s-maxage=600"],
    "/set-cookie/accel": ["X-Accel-Expires: 600", "Set-Cookie: basket=17; Path=/"],
    "/private": ["Cache-Control: private"],
    "/private/fresh": ["Cache-Control: max-age=600, private"],
    "/private/field": ['Cache-Control: private="X-Name", max-age=600'],
    "/private/accel": ["X-Accel-Expires: 600", "Cache-Control: private"],
    "/private/cdn": ["CDN-Cache-Control: max-age=600", "Cache-Control: private"],
    "/private/semicolon": ["Cache-Control: private; max-age=600"],
    "/no-store": ["Cache-Control: no-store"],
    "/no-store/upper": ["CACHE-CONTROL: PUBLIC,MAX-AGE=600,NO-STORE"],
    "/no-store/second": ["Cache-Control: max-age=600", "Cache-Control: no-store"],
    "/no-store/must-understand": ["Cache-Control: must-understand, no-store, max-age=600"],
    "/no-store/open-quote": ['Cache-Control: ext="a, no-store, max-age=600'],
    "/no-store/cdn": ["Cache-Control: max-age=600", "CDN-Cache-Control: no-store"],
    "/no-store/surrogate": ["Cache-Control: max-age=600", "Surrogate-Control: no-store"],
    "/private/cdn-only": ["Cache-Control: max-age=600", "CDN-Cache-Control: private"],
    "/no-cache": ["Cache-Control: no-cache"],
    "/no-cache/field": ['Cache-Control: no-cache="Set-Cookie", s-maxage=600'],
    "/no-cache/pragma": ["Pragma: no-cache"],
    "/expired/s-maxage": ["Cache-Control: s-maxage=0, max-age=600"],
    "/expired/max-age": ["Cache-Control: max-age=0"],
    "/expired/nonsense": ["Cache-Control: max-age=ten"],
    "/expired/negative": ["Cache-Control: max-age=-1"],
    "/expired/quoted": ['Cache-Control: max-age="600x"'],
    "/expired/two": ["Cache-Control: max-age=600, max-age=0"],
    "/expired/expires": [f"Expires: {at(-60)}"],
    "/expired/expires-0": ["Expires: 0"],
    "/expired/expires-words": ["Expires: never"],
    "/expired/accel": ["X-Accel-Expires: 0", "Cache-Control: max-age=600"],
    "/expired/accel-at": [f"X-Accel-Expires: @{int(time.time()) - 60}"],
    "/expired/cdn": ["CDN-Cache-Control: max-age=0", "Cache-Control: max-age=600"],
    "/expired/age": ["Cache-Control: max-age=60", "Age: 61"],
    "/expired/spaces": [f"Expires: {at(600).replace(' ', '  ', 1)}"],
    "/expired/hour": ["Expires: Fri, 01 Jan 2038 1:00:00 GMT"],
    "/expired/date": ["Cache-Control: max-age=60", f"Date: {at(-120)}"],
    "/two/expires": [f"Expires: {at(600)}", f"Expires: {at(60)}"],
    "/two/accel": ["X-Accel-Expires: 600", "X-Accel-Expires: 0"],
    "/two/types": ["Content-Type: text/html; charset=utf-8", "Content-Type: text/plain"],
    # The page is one of several.
    "/vary/cookie": ["Vary: Cookie"],
    "/vary/cookie/fresh": ["Vary: Accept-Encoding, COOKIE", "Cache-Control: s-maxage=600"],
    "/vary/star": ["Vary: *"],
    "/vary/star-last": ["Vary: Accept-Encoding", "Vary: *"],
    "/vary/agent": ["Vary: User-Agent"],
    "/vary/ajax": ["Vary: X-Requested-With"],
    "/content-language": ["Content-Language: de"],
    "/content-location": ["Content-Location: /page.de"],
    # It is not what nginx would say it is.
    "/api/users": ["Content-Type: application/json"],
    "/page.json": [],
    "/feed": ["Content-Type: application/rss+xml; charset=utf-8"],
    "/feed/atom": ["Content-Type: application/atom+xml"],
    "/feed.xml": ["Content-Type: application/rss+xml; charset=utf-8"],
    "/feed.rss": ["Content-Type: application/rss+xml; charset=iso-8859-1"],
    "/text": ["Content-Type: text/plain; charset=utf-8"],
    "/latin1": ["Content-Type: text/html; charset=iso-8859-1"],
    "/report": ["Content-Type: application/pdf"],
    "/script": ["Content-Type: application/javascript"],
    "/style.js": ["Content-Type: text/css"],
    "/xhtml": ["Content-Type: application/xhtml+xml"],
    "/odd-type": ["Content-Type: html"],
    # A header is lost that matters.
    "/download": ['Content-Disposition: attachment; filename="report.html"'],
    "/nonce": ["Content-Security-Policy: default-src 'self'; script-src 'nonce-4AEemGb0xJptoIGFP3Nd'"],
    "/csp": ["Content-Security-Policy: default-src 'self'; script-src 'self' 'sha256-4AEemGb0xJptoIGFP3Nd'"],
    "/nonce/report": ["Content-Security-Policy-Report-Only: script-src 'NONCE-4AEemGb0xJptoIGFP3Nd'"],
    "/refresh": ["Refresh: 5; url=/elsewhere"],
    "/cors": ["Access-Control-Allow-Origin: *"],
    "/cors/credentials": ["Access-Control-Allow-Origin: https://a.example", "Access-Control-Allow-Credentials: true"],
    "/clear": ['Clear-Site-Data: "cookies"'],
    "/link/next": ["Link: </page/2>; rel=next"],
    "/link/two": ["Link: </a.css>; rel=preload; as=style, </style.css>; rel=stylesheet"],
    "/located": ["Location: /elsewhere"],
    "/robots": ["X-Robots-Tag: noindex"],
    "/accel-charset": ["X-Accel-Charset: iso-8859-1"],
    # Right to replay: the lifetime.
    "/fresh/accel": ["X-Accel-Expires: 600"],
    "/fresh/accel-at": [f"X-Accel-Expires: @{int(time.time()) + 600}"],
    "/fresh/accel-first": ["Cache-Control: max-age=0", "X-Accel-Expires: 600"],
    "/fresh/accel-nonsense": ["X-Accel-Expires: soon", "Cache-Control: max-age=600"],
    "/fresh/cdn": ["CDN-Cache-Control: max-age=600"],
    "/fresh/cdn-first": ["CDN-Cache-Control: max-age=600", "Cache-Control: s-maxage=60"],
    "/fresh/cdn-broken": ["CDN-Cache-Control: max-age==600", "Cache-Control: max-age=600"],
    "/fresh/surrogate": ['Surrogate-Control: max-age=600, content="ESI/1.0"'],
    "/fresh/s-maxage": ["Cache-Control: s-maxage=600"],
    "/fresh/s-maxage-first": ["Cache-Control: max-age=0, s-maxage=600"],
    "/fresh/max-age": ["Cache-Control: public, max-age=600"],
    "/fresh/max-age-first": [f"Expires: {at(-60)}", "Cache-Control: max-age=600"],
    "/fresh/expires": [f"Expires: {at(600)}"],
    "/fresh/expires-date": [f"Date: {at(0)}", f"Expires: {at(600)}"],
    "/fresh/default": [],
    "/fresh/public": ["Cache-Control: public"],
    "/fresh/upper": ["CACHE-CONTROL: PUBLIC, MAX-AGE=600"],
    "/fresh/spaces": ["Cache-Control: ,  public ,max-age=600\t,, must-revalidate ,"],
    "/fresh/quoted": ['Cache-Control: ext="a, private, no-store", max-age=600'],
    "/fresh/escaped": ['Cache-Control: ext="\\", no-store", max-age=600'],
    "/fresh/lines": ["Cache-Control: public", "Cache-Control: max-age=600", "Cache-Control: immutable"],
    "/fresh/unknown": ["Cache-Control: max-age=600, x-private=1, no-storefront, stale-while-revalidating=60, stale-if-errors=60"],
    "/fresh/revalidate": ["Cache-Control: max-age=600, must-revalidate, proxy-revalidate, no-transform, must-understand"],
    "/fresh/age": ["Cache-Control: max-age=660", "Age: 60"],
    "/fresh/age-words": ["Cache-Control: max-age=600", "Age: old"],
    "/fresh/age-negative": ["Cache-Control: max-age=600", "Age: -1"],
    "/fresh/age-fraction": ["Cache-Control: max-age=600", "Age: 1.5"],
    "/fresh/age-list": ["Cache-Control: max-age=600", "Age: 0, old"],
    "/fresh/date": ["Cache-Control: max-age=660", f"Date: {at(-60)}"],
    "/fresh/pragma": ["Pragma: no-cache", "Cache-Control: max-age=600"],
    "/fresh/overflow": ["Cache-Control: max-age=99999999999"],
    # Right to replay: heads that do not matter to a hit.
    "/head/vary": ["Vary: Accept-Encoding"],
    "/head/vary-odd": ["Vary: , accept-encoding ,"],
    "/head/validators": ['ETag: W/"abc"', "Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT"],
    "/head/preload": ["Link: </a,b.css>; rel=preload; as=style, </c.js>; rel=\"preload\"; as=script"],
    "/head/canonical": ['Link: <https://shop.example/a;b>; rel="canonical"'],
    "/head/security": ["X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "Referrer-Policy: same-origin",
                       "Cross-Origin-Opener-Policy: same-origin"],
    "/head/policy": ["Content-Security-Policy-Report-Only: default-src 'self'; script-src 'self' 'sha256-4AEemGb0xJptoIGFP3Nd'",
                     "Strict-Transport-Security: max-age=31536000", "Permissions-Policy: camera=()"],
    "/head/own": ["Server: app", "X-Powered-By: Python", "X-Request-Id: 17", "X-UA-Compatible: IE=edge", "Server-Timing: db;dur=1"],
    "/head/type": ['Content-Type: Text/HTML;Charset="UTF-8"'],
    "/head/identity": ["Content-Encoding: identity"],
    "/style.css": ["Content-Type: text/css"],
    "/lib.min.js": ["Content-Type: application/javascript; charset=utf-8"],
    "/data.json": ["Content-Type: application/json"],
    "/robots.txt": ["Content-Type: text/plain; charset=utf-8"],
    "/sitemap.xml": ["Content-Type: text/xml; charset=utf-8"],
    "/news.rss": ["Content-Type: application/rss+xml; charset=utf-8"],
    "/news.atom": ["Content-Type: application/atom+xml"],
    "/logo.SVG": ["Content-Type: image/svg+xml"],
    "/index.html": [],
    "/index.php": [],
    "/.well-known/page": [],
}

for path, lines in HEADS.items():
    PAGES[path] = lambda environ, path=path, lines=lines: whole(f"This is {path}.", *lines)


# --- Right to replay: the body ------------------------------------------------


@page("/body/chunked")
def body_chunked(environ):
    return chunked(thirds(copy("This came in chunks.")))


@page("/body/chunk-extensions")
def body_chunk_extensions(environ):
    body = copy("This came in chunks.")
    return chunked([], end=b'%X;name="a;b"\r\n%s\r\n000\r\n\r\n' % (len(body), body))


@page("/body/bytewise")
def body_bytewise(environ):
    return chunked(bytes([b]) for b in copy("This came byte by byte."))


@page("/body/same-length-twice")
def body_same_length_twice(environ):
    status, lines, chunks = whole("This has its length twice.")
    return status, [*lines, lines[1]], chunks


@page("/body/pieces")
def body_pieces(environ):
    body = copy("This came in pieces.")
    status, lines, _ = whole(body)
    return status, lines, slowly(thirds(body))


LIMIT = (1 << 20) - (1 << 10)  # the largest page that is stored


def large(size):
    start = copy("This is large.")
    return start + b"x" * (size - len(start))


@page("/body/largest")
def body_largest(environ):
    return whole(large(LIMIT))


@page("/body/largest-chunked")
def body_largest_chunked(environ):
    return chunked(thirds(large(LIMIT)))


@page("/body/smallest")
def body_smallest(environ):
    return whole(b"1")


@page("/body/binary")
def body_binary(environ):
    return whole(copy("") + bytes(range(256)) + b"\r\nEND\r\nVALUE x 0 1\r\n0\r\n\r\n")


@page("/body/compressible")
def body_compressible(environ):
    """Compressed for whoever takes it, plain for others."""
    body = copy("This may be compressed.")
    if "gzip" in header(environ, "Accept-Encoding"):
        return whole(gzip.compress(body), "Content-Encoding: gzip", "Vary: Accept-Encoding")
    return whole(body, "Vary: Accept-Encoding")


@page("/body/csrf-prose")
def body_csrf_prose(environ):
    return whole("About csrf tokens, the csrf-token header and csrfmiddleware tokens.")
