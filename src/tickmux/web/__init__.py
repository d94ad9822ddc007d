"""The web app: pages, JSON API, metrics. `create_app` is what a WSGI server loads."""

from tickmux.web.app import create_app

__all__ = ["create_app"]
