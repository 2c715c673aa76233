from django.urls import path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    # Anonymous pages without caching headers.
    path("articles/", views.articles, name="articles"),
    path("articles/<str:slug>", views.article, name="article"),
    path("search", views.search, name="search"),
    path("guestbook", views.guestbook, name="guestbook"),
    path("clock", views.clock, name="clock"),
    path("big", views.big, name="big"),
    path("slow", views.slow, name="slow"),
    # Pages with caching headers or a cookie.
    path("fresh", views.fresh, name="fresh"),
    path("private", views.private, name="private"),
    path("cookie", views.cookie, name="cookie"),
    path("hello", views.hello, name="hello"),
    # Pages for one person.
    path("member", views.member, name="member"),
    path("contact", views.contact, name="contact"),
    # Not whole HTML pages.
    path("api/articles", views.api_articles, name="api-articles"),
    path("api/articles.json", views.api_articles, name="api-articles-json"),
    path("stream", views.stream, name="stream"),
    path("crash", views.crash, name="crash"),
    path("forget", views.forget, name="forget"),
]
