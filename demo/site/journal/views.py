"""
The pages. No anonymous page but /hello reads the session: Django adds `Vary: Cookie`
to such a page. A view needs to do nothing else to be cached.
"""
import time
import uuid

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from . import pages
from .forms import ContactForm, EntryForm
from .models import Article, Entry


def rendered(request):
    """Context of each page: a token that is different for each rendering."""
    return {"token": token(), "rendered_at": timezone.now()}


def token():
    return uuid.uuid4().hex[:12]


def home(request):
    return render(request, "journal/home.html")


def articles(request):
    page = Paginator(Article.objects.all(), 10).get_page(request.GET.get("page"))
    return render(request, "journal/articles.html", {"page": page})


def article(request, slug):
    return render(request, "journal/article.html", {"article": get_object_or_404(Article, slug=slug)})


def search(request):
    query = request.GET.get("q", "")
    found = Article.objects.filter(title__icontains=query) if query else Article.objects.none()
    return render(request, "journal/search.html", {"query": query, "found": found})


# Without the exemption each form would contain its visitor's token, and no other
# visitor could get the page. An anonymous guestbook has no login that a forged
# request could abuse; /contact has a form with a token.
@csrf_exempt
def guestbook(request):
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("guestbook")
    return render(request, "journal/guestbook.html", {"form": form, "entries": Entry.objects.all()[:50]})


def clock(request):
    """The smallest page that shows whether Django ran: /clock?n=1, /clock?n=2, …"""
    return render(request, "journal/clock.html")


def big(request):
    return render(request, "journal/big.html", {"lines": range(4000)})


def slow(request):
    time.sleep(bounded(request, "s", 1.0))
    return render(request, "journal/clock.html")


@cache_control(public=True, s_maxage=60)
def fresh(request):
    return render(request, "journal/clock.html")


@cache_control(private=True)
def private(request):
    return render(request, "journal/clock.html")


def cookie(request):
    response = render(request, "journal/clock.html")
    response.set_cookie("flavour", "oatmeal")
    return response


def hello(request):
    """Its template looks at the user, so Django adds `Vary: Cookie`."""
    return render(request, "journal/hello.html")


@login_required
def member(request):
    return render(request, "journal/member.html")


def contact(request):
    form = ContactForm(request.POST or None)
    return render(request, "journal/contact.html", {"form": form, "sent": form.is_valid()})


def api_articles(request):
    """
    The same response under two paths. nginx derives the Content-Type of a hit from the
    path: it is right for /api/articles.json, and text/html for /api/articles.
    """
    rows = Article.objects.values("slug", "title")
    return JsonResponse({"token": token(), "articles": list(rows)})


def stream(request):
    """?n= lines, ?pause= seconds apart; no Content-Length."""
    count, pause = int(bounded(request, "n", 20.0, most=10000)), bounded(request, "pause", 0.0)
    return StreamingHttpResponse(lines(count, pause))


def lines(count, pause):
    yield f"<!DOCTYPE html><html lang=en><title>Stream</title><p>Rendering {token()}\n"
    for n in range(1, count + 1):
        time.sleep(pause)
        yield f"<p>Line {n} of {count}\n"
    yield "</html>\n"


def crash(request):
    raise RuntimeError("this page fails whenever it is asked for")


@csrf_exempt
@require_POST
def forget(request):
    """Deletes any page from memcached: path=/articles/"""
    uri = request.POST.get("path", "")
    if not uri.startswith("/"):
        return HttpResponseBadRequest("path: the URL from its first slash, as in path=/articles/\n")
    key, servers = pages.forget(request, uri)
    return HttpResponse(f"{key}: deleted from {servers}\n", content_type="text/plain")


def bounded(request, name, default, most=30.0):
    """A number from the query string, 0 to most."""
    try:
        return min(max(float(request.GET.get(name, default)), 0.0), most)
    except ValueError:
        return default
