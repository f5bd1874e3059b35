"""Logs into a JupyterHub as a browser does, and waits for the user's own server.

Runs on a host. Arguments: the hub, the user and the password. Prints the user that the
server says it is, and the statuses of: a wrong password, the user's page, its API.
"""

from __future__ import annotations

import json
import sys
import time
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener


class Browser:
    """Keeps cookies and follows redirections."""

    def __init__(self, hub: str) -> None:
        self.hub, self.jar = hub, CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.jar))

    def open(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Return the status and the text of a page."""
        data = urlencode(form).encode() if form else None
        try:
            with self.opener.open(self.hub + path, data, timeout=60) as page:
                return page.status, page.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()

    def log_in(self, user: str, password: str) -> int:
        """Fill in the login page; return the status of the answer."""
        self.open("/hub/login")
        (token,) = (
            str(cookie.value)
            for cookie in self.jar
            if (cookie.name, cookie.path) == ("_xsrf", "/hub/")
        )
        form = {"username": user, "password": password, "_xsrf": token}
        return self.open("/hub/login", form)[0]

    def wait_for(self, path: str, sign: str) -> tuple[int, str]:
        """Return a page once it has the sign in it."""
        deadline = time.monotonic() + 120
        while True:
            status, text = self.open(path)
            if sign in text or time.monotonic() > deadline:
                return status, text
            time.sleep(0.5)


def main(hub: str, user: str, password: str) -> None:
    """Print what is seen."""
    refused = Browser(hub).log_in(user, f"not {password}")
    browser = Browser(hub)
    browser.log_in(user, password)
    lab, _ = browser.wait_for(f"/user/{user}/lab", "jupyter-config-data")
    status, text = browser.open(f"/user/{user}/api/me")
    name = json.loads(text)["identity"]["username"]
    sys.stdout.write(f"{name} {refused} {lab} {status}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
