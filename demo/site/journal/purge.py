"""Purges the pages that show an article when the article has changed."""
import logging
from urllib.request import Request, urlopen

from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from .models import Article


@receiver([post_save, post_delete], sender=Article)
def article_changed(instance, **kwargs):
    # Not before the commit: the next visitor would get the old article again.
    transaction.on_commit(lambda: purge(instance.get_absolute_url(), "/articles/"))


def purge(*paths):
    for path in paths if settings.PURGE_URL else ():
        try:
            urlopen(Request(settings.PURGE_URL + path, method="PURGE", headers={"X-Purge-Scope": "query"}), timeout=5).close()
        except OSError as e:
            logging.getLogger(__name__).error("%s is not purged: %s", path, e)
