"""A browser in front of the web app, without sockets."""

from tickmux.config import Settings

PASSWORD = "correct horse battery"


class Browser:
    """A browser as the server sees it: keeps the cookie, sends the CSRF token of the last session answer."""

    def __init__(self, app, base_url="http://127.0.0.1:5000", cookie=None, **environ):
        self._client = app.test_client()
        if cookie is not None:
            self._client.set_cookie("tickmux_session", cookie, domain="127.0.0.1")
        self._base_url = base_url
        self._environ = {"REMOTE_ADDR": "127.0.0.1", **environ}
        self.csrf = ""

    def send(self, method, path, body=None, **options):
        headers = {"X-CSRF-Token": self.csrf, **options.pop("headers", {})}
        return self._client.open(
            path,
            method=method,
            json=body,
            headers=headers,
            base_url=self._base_url,
            environ_overrides=self._environ,
            **options,
        )

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.send("POST", path, body, **options)

    def session(self):
        return self._keep(self.get("/api/session"))

    def set_up(self, username="asha", password=PASSWORD, **more):
        self.session()
        return self._keep(self.post("/api/setup", {"username": username, "password": password, **more}))

    def log_in(self, username="asha", password=PASSWORD):
        self.session()
        return self._keep(self.post("/api/login", {"username": username, "password": password}))

    def change_password(self, password, new):
        self.session()
        return self._keep(self.post("/api/password", {"password": password, "new_password": new}))

    def log_out(self):
        return self._keep(self.post("/api/logout"))

    def _keep(self, response):
        if response.status_code < 400:
            self.csrf = response.json["csrf_token"]
        return response

    @property
    def cookie(self):
        return self._client.get_cookie("tickmux_session", domain="127.0.0.1").value


def settings_in(home, **more):
    environ = {"TICKMUX_HOME": str(home), "WEBSOCKET_PORT": "0", "ZMQ_PORT": "0", **more}
    return Settings.load(environ=environ, folder=home)
