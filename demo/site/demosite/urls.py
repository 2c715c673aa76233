from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.staticfiles.views import serve
from django.urls import include, path

urlpatterns = [
    path("", include("journal.urls")),
    path("login", auth.LoginView.as_view(), name="login"),
    path("logout", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    # On a real site nginx serves these. Here Django does, so that nginx's
    # configuration contains only the cache.
    path("static/<path:path>", serve, {"insecure": True}),
]

if settings.FAULTS:
    urlpatterns.append(path("", include("journal.faults")))
