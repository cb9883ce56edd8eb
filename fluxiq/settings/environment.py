"""The environment that settings are read from: NAME, or NAME_FILE naming a file that holds it."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping


class Variables(FileAwareMapping):  # type: ignore[misc]
    """os.environ, or a mapping like it, where the value of NAME may stand in a file.

    A file's value is without the white space around it. It is read each time it is asked for: a
    process that reloads finds what stands there by then. Raises ImproperlyConfigured, naming the
    variable and never a value: where both NAME and NAME_FILE are set, for nobody could tell which
    of them is the stale one, and for a file that cannot be read, is no text, or is empty. A
    variable that is set to nothing is as one that is not set.
    """

    def __getitem__(self, name: str) -> str:
        """The value. Raises KeyError where there is none."""
        path = self.env.get(f"{name}_FILE", "").strip()
        if not path:
            given: str = self.env[name]
            return given
        if self.env.get(name, "").strip():
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: give one of them")
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            # Not chained: the error holds the path or the bytes. The path is not repeated either,
            # for it may be the secret itself.
            fault = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ImproperlyConfigured(
                f"{name}_FILE: cannot read the file that it names: {fault}"
            ) from None
        if not value:
            raise ImproperlyConfigured(f"{name}_FILE: the file that it names is empty")
        return value
