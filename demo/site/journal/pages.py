"""Deletes pages from nginx's memcached, by the key that nginx looks up."""
from django.conf import settings
from django.core.cache import caches


def forget(request, uri):
    """
    Deletes the entry of a URI of this host. It returns the key and the number of
    servers that had it. nginx writes a percent sign in a key as %25, Django does not.
    """
    key = settings.PAGE_KEY.format(scheme=request.scheme, host=request.get_host(), uri=uri)
    key = key.replace("%", "%25")
    return key, sum(caches[name].delete(key) for name in caches)


def as_is(key, prefix, version):
    """A KEY_FUNCTION for keys that are not Django's."""
    return key
