"""
A stock Django project: MIDDLEWARE is exactly what `startproject` writes.

Environment variables:
    DEMO_DATA       directory of the database and the secret key, made by prepare.py
    DEMO_MEMCACHED  the memcached servers of nginx, "host:port" each, separated by spaces
    DEMO_KEY        "recipe": nginx's key is `:1:CUSTOMKEY:$request_uri`; otherwise
                    `$scheme://$host$request_uri`
    DEMO_PURGE      nginx's URL, to which PURGE requests for changed pages go; without it
                    there are none
    DEMO_FAULTS     "1": the pages below /faults/ break off, for tests
"""
import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DEMO_DATA", BASE_DIR))


def secret_key(path):
    """A key that is the same after a restart: a new one would end every session."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(get_random_secret_key())
    return path.read_text()


SECRET_KEY = secret_key(DATA_DIR / "secret_key")
DEBUG = False
# Any host is allowed: the site listens on loopback only, and tests request it under
# many names. A real site lists its own.
ALLOWED_HOSTS = ["*"]
PURGE_URL = os.environ.get("DEMO_PURGE", "")
FAULTS = os.environ.get("DEMO_FAULTS") == "1"

INSTALLED_APPS = [
    "journal.apps.Journal",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "demosite.urls"
WSGI_APPLICATION = "demosite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "journal.views.rendered",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 10},
    }
}


# With the recipe, cache.delete("CUSTOMKEY:/path") deletes a page: Django's key function
# adds the prefix :1:.
if os.environ.get("DEMO_KEY") == "recipe":
    PAGE_KEY, KEY_FUNCTION = "CUSTOMKEY:{uri}", None
else:
    PAGE_KEY, KEY_FUNCTION = "{scheme}://{host}{uri}", "journal.pages.as_is"


def memcached(servers):
    """
    One cache for each server. nginx chooses a page's server by its own hash, which
    no Django backend knows, so a page is deleted on all servers.
    """
    if not servers:
        return {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    names = ["default"] + [f"memcached{n}" for n in range(1, len(servers))]
    return {
        name: {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": server,
            "KEY_FUNCTION": KEY_FUNCTION,
            "OPTIONS": {"connect_timeout": 0.5, "timeout": 0.5, "ignore_exc": True},
        }
        for name, server in zip(names, servers)
    }


CACHES = memcached(os.environ.get("DEMO_MEMCACHED", "").split())

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "member"
LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_L10N = True
USE_TZ = True

STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
