"""Why the API cannot be served: what the person who starts it can do something about."""


class ServeError(Exception):
    """The address cannot be served; the message says why."""


class PublicKeyError(Exception):
    """The public key cannot be used; the message says why."""
