"""The environment that settings are read from: NAME, or NAME_FILE naming a file that holds it."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environ import FileAwareEnv
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
        except OSError as error:
            # Its text alone: the rest of the error repeats the path.
            raise ImproperlyConfigured(
                f"{name}_FILE: cannot read {path}: {error.strerror}"
            ) from error
        except UnicodeDecodeError:
            # Not chained: that error holds the bytes.
            raise ImproperlyConfigured(f"{name}_FILE: {path} is not UTF-8 text") from None
        if not value:
            raise ImproperlyConfigured(f"{name}_FILE: {path} is empty")
        return value


class Environment(FileAwareEnv):  # type: ignore[misc]
    """django-environ's readers over Variables."""

    ENVIRON = Variables(cache=False)
