"""
Creates the database in DEMO_DATA: tables, the user demo/demo, some articles.

It is one process, because each manage.py command would load Django again.
A second run changes nothing.
"""
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demosite.settings")
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from journal.models import Article, Entry

TEXT = """nginx asks memcached first. If the page is there, nginx serves it at once, and no
Python runs. If not, nginx gets the page from Django through uwgate, which stores a
copy under the key that nginx will ask for next time."""

ARTICLES = [
    ("hello", "Hello, world"),
    ("café-crème", "Café crème"),
    ("straße", "Über die Straße"),
    ("日本語のページ", "日本語のページ"),
    ("привет", "Привет"),
    ("100% sure", "A percent sign and a space"),
    ("c++ & friends", "Reserved characters"),
] + [(f"note-{n}", f"Note {n}") for n in range(1, 24)]


def main():
    with connection.cursor() as cursor:
        # The data is needed only while the demo runs, so it need not reach the disk.
        cursor.execute("PRAGMA synchronous = OFF")
        # Readers do not wait for a writer.
        cursor.execute("PRAGMA journal_mode = WAL")
    call_command("migrate", verbosity=0)
    if not User.objects.filter(username="demo").exists():
        User.objects.create_superuser("demo", "demo@example.com", "demo")
    for slug, title in ARTICLES:
        Article.objects.get_or_create(slug=slug, defaults={"title": title, "text": TEXT})
    Entry.objects.get_or_create(name="Ada", text="The first entry.")


main()
