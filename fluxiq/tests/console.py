"""How the cast uses the staff console."""

from collections.abc import Callable
from html import unescape
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.base import ApiTestCase


class ConsoleTestCase(ApiTestCase):
    """`root` may do everything at the console; `sam` what a test lets him."""

    def enter(self, user: User, *permissions: str) -> None:
        """Sign the user in to the console, with these Django permissions (`app.codename`)."""
        for permission in permissions:
            app, codename = permission.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        self.client.force_login(user)

    def look(self, path: str, expect: int = 200, **query: str) -> str:
        """The text of a page, of an answer with that status."""
        response = self.client.get(f"/admin/{path}", query)
        assert response.status_code == expect, response.content
        return unescape(response.content.decode())

    def send(self, path: str, expect: int = 302, **fields: Any) -> Any:
        """Send a form, to be answered with that status."""
        response = self.client.post(f"/admin/{path}", fields)
        assert response.status_code == expect, response.content
        return response

    def act(self, path: str, action: str, *objects: Any, expect: int = 302, **fields: Any) -> Any:
        """Do the action of a list to these objects, confirmed."""
        fields = {"confirmed": "yes", "post": "yes", **fields}
        chosen = [obj.pk for obj in objects]
        return self.send(path, expect, action=action, _selected_action=chosen, **fields)

    def assert_no_action(self, path: str, action: str, *objects: Any) -> None:
        """The list offers no such action, and does nothing when it is asked for."""
        assert f'<option value="{action}">' not in self.look(path)
        response = self.act(path, action, *objects, expect=200, reason="No")
        assert 'name="confirmed"' not in response.content.decode()

    def refusals(self, response: Any) -> list[str]:
        """The errors of a form that was shown again."""
        assert response.status_code == 200, response.status_code
        form = response.context["adminform"].form
        return [message for messages in form.errors.values() for message in messages]

    def said(self, response: Any) -> list[str]:
        """The messages on the page that the answer leads to."""
        return [str(m) for m in self.client.get(response.headers["Location"]).context["messages"]]

    def events(self, kind: str, **fields: Any) -> list[AuditEvent]:
        """The audit events of that kind, oldest first."""
        return list(AuditEvent.objects.filter(kind=kind, **fields).order_by("id"))

    def assert_queries_do_not_grow(self, path: str, add_row: Callable[[], object]) -> None:
        """A list costs as many queries for many rows as for few."""
        self.look(path)
        counts = []
        for _ in range(2):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                self.look(path)
            counts.append(len(queries))
            add_row()
            add_row()
        assert counts[0] == counts[1], counts
