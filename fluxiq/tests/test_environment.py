"""Settings from files: NAME_FILE in place of NAME, one rule for every variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from fluxiq.settings.environment import Variables
from fluxiq.tests.engines import PROJECT, free_port

pytestmark = pytest.mark.once

# The variables that hold a secret; the deployments in deploy/ give each of them as a file.
SECRETS = {
    "SECRET_KEY": "secret-key-from-a-file-0123456789-0123456789-0123456789",
    "JWT_SIGNING_KEYS": "f1:signing-key-from-a-file-0123456789",
    "API_KEY_PEPPERS": "f1:pepper-from-a-file-0123456789",
    "AUDIT_KEYS": "f1:audit-key-from-a-file-0123456789",
    "MFA_KEYS": "f1:sealing-key-from-a-file-0123456789",
    "DATABASE_URL": "postgres://fluxiq:from-a-file@127.0.0.1:1/fluxiq",
    "REDIS_URL": "redis://:from-a-file@127.0.0.1:1/3",
    "EMAIL_URL": "smtp+tls://fluxiq:from-a-file@mail.example.com:587",
}
TOLD = """
import django, json
from django.conf import settings
django.setup()
print(json.dumps({
    **{name: getattr(settings, name) for name in
       ("SECRET_KEY", "JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "AUDIT_KEYS", "MFA_KEYS")},
    "database": settings.DATABASES["default"]["PASSWORD"],
    "redis": settings.CACHES["default"]["LOCATION"],
    "mail": settings.EMAIL_HOST_PASSWORD,
}))
"""


def variables(**given: str) -> Variables:
    return Variables(given, cache=False)


def test_a_value_comes_from_the_variable_or_from_the_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    assert variables(NAME="as it is ")["NAME"] == "as it is "
    assert variables(NAME_FILE=str(file))["NAME"] == "from a file"
    assert variables(NAME_FILE=f"{file}\n", NAME=" ")["NAME"] == "from a file"
    assert variables(NAME="as it is", NAME_FILE="")["NAME"] == "as it is"
    assert variables().get("NAME") is None
    assert "NAME" in variables(NAME_FILE=str(file))


def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("before")
    read = variables(NAME_FILE=str(file))
    assert read["NAME"] == "before"
    file.write_text("after")
    assert read["NAME"] == "after"


def test_what_is_set_as_a_file_is_not_set_again_by_default(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file")
    read = variables(NAME_FILE=str(file))
    assert read.setdefault("NAME", "from var/secrets.env") == "from a file"
    assert read["NAME"] == "from a file"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot read the file that it names: No such file or directory"),
        (b"", "the file that it names is empty"),
        (b" \n\t\n", "the file that it names is empty"),
        (b"canary-\xff", "cannot read the file that it names: it is not UTF-8 text"),
    ],
)
def test_a_file_that_gives_no_value_is_named_with_its_variable(
    content: bytes | None, fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImproperlyConfigured) as refused:
        variables(NAME_FILE=str(file))["NAME"]
    assert str(refused.value) == f"NAME_FILE: {fault}"


def test_a_directory_in_its_place_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^NAME_FILE: cannot read .*Is a directory$"):
        variables(NAME_FILE=str(tmp_path))["NAME"]


def test_a_file_that_may_not_be_read_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")  # stands in for the kernel: root reads all

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(ImproperlyConfigured, match=r"^NAME_FILE: cannot read .*Permission denied$"):
        variables(NAME_FILE=str(tmp_path / "secret"))["NAME"]


def test_a_variable_and_its_file_at_once_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("canary-file")
    with pytest.raises(ImproperlyConfigured) as refused:
        variables(NAME="canary-value", NAME_FILE=str(file))["NAME"]
    assert str(refused.value) == "NAME and NAME_FILE are both set: give one of them"


def started(environment: dict[str, str], code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
            "ALLOWED_HOSTS": "auth.example.com",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def files(directory: Path) -> dict[str, str]:
    """Every secret written to a file, and the variables that name the files."""
    for name, value in SECRETS.items():
        (directory / name).write_text(f"{value}\n")
    return {f"{name}_FILE": str(directory / name) for name in SECRETS}


def test_production_takes_every_secret_from_files(tmp_path: Path) -> None:
    done = started(files(tmp_path), TOLD)
    assert done.returncode == 0, done.stderr
    for name, value in SECRETS.items():
        if not name.endswith("_URL"):
            assert f'"{name}": "{value}"' in done.stdout
    assert '"database": "from-a-file"' in done.stdout
    assert '"redis": "redis://:from-a-file@127.0.0.1:1/3"' in done.stdout
    assert '"mail": "from-a-file"' in done.stdout


@pytest.mark.parametrize("name", ["MFA_KEYS", "EMAIL_URL"])
def test_production_does_not_start_on_a_secret_that_it_cannot_read(
    name: str, tmp_path: Path
) -> None:
    given = files(tmp_path)
    (tmp_path / name).unlink()
    done = started(given, "import fluxiq.wsgi")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert f"{name}_FILE: cannot read the file that it names: No such file" in last
    for value in SECRETS.values():
        assert value not in done.stderr


def test_gunicorn_reads_its_own_settings_by_the_same_rule(tmp_path: Path) -> None:
    """A proxy that Django believes and gunicorn does not would have its https taken for http."""
    (tmp_path / "proxies").write_text("10.1.2.0/24\n")
    code = "import runpy; print(runpy.run_path('gunicorn.conf.py')['forwarded_allow_ips'])"
    given = {**files(tmp_path), "TRUSTED_PROXIES_FILE": str(tmp_path / "proxies")}
    done = started(given, code)
    assert done.stdout == "10.1.2.0/24,::ffff:10.1.2.0/120\n", done.stderr


def test_so_are_the_port_of_the_metrics_and_the_format_of_the_log(tmp_path: Path) -> None:
    port = free_port()
    given = {"METRICS_PORT": f"{port}", "METRICS_HOST": "127.0.0.2", "LOG_FORMAT": "console"}
    for name, value in given.items():
        (tmp_path / name).write_text(f"{value}\n")
    code = (
        "import runpy; from fluxiq.metrics import listener;"
        "read = runpy.run_path('gunicorn.conf.py');"
        "line = read['logconfig_dict']['formatters']['line'];"
        "print(listener.open_once().getsockname(), 'fmt' in line)"
    )
    named = {f"{name}_FILE": str(tmp_path / name) for name in given}
    done = started({**files(tmp_path), **named}, code)
    assert done.stdout == f"('127.0.0.2', {port}) True\n", done.stderr
