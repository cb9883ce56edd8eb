"""What the lower floors tell by signal: a user who is shut out has no session left."""

from typing import Any

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import access_withdrawn
from authn import sessions


@receiver(access_withdrawn)
def end_sessions(sender: type[User], user: User, reason: str, **kwargs: Any) -> None:
    """End the user's sessions, in the transaction that shut them out."""
    sessions.end_all(user, reason)
