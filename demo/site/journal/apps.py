from django.apps import AppConfig


class Journal(AppConfig):
    name = "journal"

    def ready(self):
        from . import purge  # noqa: F401: it listens to signals
