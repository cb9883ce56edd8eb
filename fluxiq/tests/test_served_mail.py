"""Mail of a local run: printed, or sent where EMAIL_URL says; accepted is sent, also by a server
that stops."""

import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from fluxiq.settings.engines import mail
from fluxiq.tests.served import EMBEDDED, Service, serving

pytestmark = pytest.mark.engine

MAILED = "/reset-password#usr_"


class Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as smtplib asks for."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.example\r\n")
        for line in iter(self.rfile.readline, b""):
            match line[:4].upper():
                case b"DATA":
                    self.wfile.write(b"354 end with .\r\n")
                    text = b"".join(iter(self.rfile.readline, b".\r\n"))
                    self.server.taken.append(text.decode())  # type: ignore[attr-defined]
                    self.wfile.write(b"250 taken\r\n")
                case b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                case _:
                    self.wfile.write(b"250 mail.example\r\n")


@contextmanager
def mail_server() -> Iterator[tuple[str, list[str]]]:
    """Its URL, and what it took."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        server.daemon_threads = True
        server.taken = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}", server.taken  # type: ignore[attr-defined]
        server.shutdown()


def ask_for_a_link(service: Service) -> None:
    """As the demo's owner, who has an address from here on."""
    document = service.demo["users"][0]["document"]
    with closing(sqlite3.connect(urlsplit(service.environment["DATABASE_URL"]).path)) as database:
        address = "UPDATE accounts_user SET email = 'olga@padaria.example' WHERE document = ?"
        assert database.execute(address, [document]).rowcount == 1
        database.commit()
    answer = service.call("POST", "/api/v1/auth/password/forgot", None, {"document": document})
    assert (answer.status, answer.content) == (202, b"")


def test_it_is_sent_where_email_url_says_also_by_a_server_that_stops() -> None:
    with mail_server() as (url, taken):
        sender = {"EMAIL_URL": url, "DEFAULT_FROM_EMAIL": "Test <test@fluxiq.example>"}
        with serving(EMBEDDED, sender, workers=1) as service:
            ask_for_a_link(service)
        assert len(taken) == 1
        assert MAILED in taken[0].replace("=\r\n", "")
        assert "From: Test <test@fluxiq.example>" in taken[0]
        assert MAILED not in service.gunicorn.log()


@pytest.mark.parametrize("url", [None, "", " "])
def test_where_nothing_is_said_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.delenv("EMAIL_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("EMAIL_URL", url)
    backend = mail("EMAIL_URL", "consolemail://")["EMAIL_BACKEND"]
    assert backend == "django.core.mail.backends.console.EmailBackend"
