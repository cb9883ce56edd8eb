"""Rules for new passwords (contract, section 6)."""

from django.core.exceptions import ValidationError

MIN_LENGTH = 12
MAX_LENGTH = 1024  # longer ones cost hashing time and protect nothing more


class LengthValidator:
    """A Django password validator: 12 to 1024 characters, counted as typed."""

    def validate(self, password: str, user: object | None = None) -> None:
        """Raises ValidationError."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise ValidationError(self.get_help_text(), code="password_length")

    def get_help_text(self) -> str:
        """What the rule asks for."""
        return f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters."
