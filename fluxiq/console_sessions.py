"""Where the staff console's sessions are kept: Django's table, without what opens them.

The cookie holds a session's key, and the table its digest, so that who reads the database, or a
backup of it, is signed in nowhere. (The key is as random as an API key: a digest needs no pepper.)
Named by SESSION_ENGINE. Only Django's synchronous calls are served, as in all of this project.
"""

from hashlib import sha256
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

_LENGTH = 40  # of the column, in hexadecimal: 160 bits


def digest(session_key: str) -> str:
    """How the table names the session of that key."""
    return sha256(session_key.encode()).hexdigest()[:_LENGTH]


class SessionStore(db.SessionStore):
    """Django's, but for the name of a row."""

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        row: AbstractBaseSession | None = None
        if self.session_key is not None:
            live = self.model.objects.filter(expire_date__gt=timezone.now())
            row = live.filter(session_key=digest(self.session_key)).first()
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        """Whether there is a session of that key."""
        return super().exists(digest(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """The row to save."""
        row = super().create_model_instance(data)
        row.session_key = digest(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """Forget the session of that key, or this one."""
        key = session_key or self.session_key
        if key is not None:
            self.model.objects.filter(session_key=digest(key)).delete()
