"""
Pages for tests; the demo does not have them (settings.FAULTS). Responses that
break off, as after a killed worker or a full disk, show that nothing incomplete is
stored. A page under every other URL shows that nginx finds it again, even if the
URL is unusual.
"""
import os

from django.http import StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, re_path

HALF = b"<p>" + b"x" * 9993 + b"</p>"  # 10,000 bytes


def short(request):
    """Announces 20,000 bytes, sends 10,000 and ends."""
    return announcing(20000, [HALF])


def die(request):
    """Announces 20,000 bytes, sends 10,000, and the worker exits."""
    return announcing(20000, dying())


def die_unframed(request):
    """The same without Content-Length: its end looks like a normal one."""
    return StreamingHttpResponse(dying())


def die_silent(request):
    """The worker exits before it has sent anything."""
    os._exit(1)


def dying():
    yield HALF
    os._exit(1)


def announcing(length, body):
    response = StreamingHttpResponse(body)
    response["Content-Length"] = str(length)
    return response


def anything(request):
    return render(request, "journal/clock.html")


urlpatterns = [
    path("faults/short", short),
    path("faults/die", die),
    path("faults/die-unframed", die_unframed),
    path("faults/die-silent", die_silent),
    re_path(r"^(?!no/)[\s\S]*$", anything),
]
