"""What cannot be used is refused by the name of its variable, and no refusal repeats a value."""

import base64
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from fluxiq.tests.engines import PROJECT, free_port

pytestmark = pytest.mark.once

GOOD = {
    "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
    "ALLOWED_HOSTS": "auth.example.com",
    "SECRET_KEY": "secret-key-of-the-refusals-0123456789-0123456789-01",
    "JWT_SIGNING_KEYS": "k1:signing-key-of-the-refusals-0123456789",
    "API_KEY_PEPPERS": "p1:pepper-of-the-refusals-0123456789",
    "AUDIT_KEYS": "a1:audit-key-of-the-refusals-0123456789",
    "MFA_KEYS": "m1:sealing-key-of-the-refusals-0123456789",
    "DATABASE_URL": "postgres://fluxiq:password@127.0.0.1:1/fluxiq",
}
BOOLEANS = (
    *("MFA_REQUIRED_FOR_STAFF", "MFA_REQUIRED_FOR_SUPERUSERS", "VERIFY_DOCUMENT_CHECK_DIGITS"),
    *("LOG_REQUESTS", "SECURE_SSL_REDIRECT"),
    *("DATABASE_TRANSACTION_POOLING", "DATABASE_PREPARED_STATEMENTS"),
)
INTEGERS = (
    *("PORT", "WEB_CONCURRENCY", "WEB_THREADS", "WEB_MAX_REQUESTS", "DATABASE_POOL_SIZE"),
    *("REQUEST_SECONDS", "CONNECTIONS_PER_ADDRESS"),
    *("METRICS_PORT", "SESSION_MAX_AGE", "REFRESH_REUSE_SECONDS", "SECURE_HSTS_SECONDS"),
)
RATES = tuple(f"RATE_LIMIT_{kind}" for kind in ("API_KEY", "JWT", "ANONYMOUS", "SERVICE_KEY"))
RINGS = ("JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "AUDIT_KEYS", "MFA_KEYS")
URLS = {
    "DATABASE_URL": ("mysql://u:p@h/d", "postgres://u:p@h", "postgres://u:1/2@h/d", "sqlite:db"),
    "REDIS_URL": ("http://h", "redis://h:x", "redis://h/0?nonsense=1", "redis+cluster://h:x", "h"),
    "EMAIL_URL": ("http://h", "smtp://", "smtp://h:x", "mail.example.com"),
    "PASSWORD_RESET_URL": ("https://h/no-token", "javascript:{token}", "//h/{token}"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("collector:4318", "http://h:x"),
}
LISTS = {
    "ALLOWED_HOSTS": ("https://h", "h:443", "a b", ",", "h/path"),
    "CORS_ALLOWED_ORIGINS": ("app.example.com", "https://h/", "ftp://h", "https://u@h", "*"),
    "TRUSTED_PROXIES": ("10.0.0.0/33", "proxy.example.com", "10.1.2.3/8", "10.0.0.0/8;10.1.0.0/16"),
}
OTHERS = {
    "DRAIN_SECONDS": ("x", "nan", "-1", "3601", "1e2"),
    "BIND_HOST": ("a b", "h:1x", "http://h"),
    "METRICS_HOST": ("a b", "http://h"),
    "METRICS_TOKEN": ("short", "sixteen and more with spaces"),
    "LOG_FORMAT": ("xml", "JSON"),
    "FLUXIQ_ENVIRONMENT": ("production",),
    "DEFAULT_FROM_EMAIL": ("nobody", "a@b\tc"),
    "SECRET_KEY_FALLBACKS": ("a b", ","),
}
SIGNING_KEYS = (
    *("k1:es256:" + "A" * 60, "k1:ES256" + base64.b64encode(b"-----BEGIN PRIVATE").decode()),
    *(
        "k1:" + base64.b64encode(b"-----BEGIN PRIVATE KEY-----").decode() * 2,
        "k1:HS256:" + "s" * 40,
    ),
)
BROKEN: list[tuple[str, str]] = [
    *itertools.product(BOOLEANS, ("maybe", "2", "enabled", "off,on", "t")),
    *itertools.product(INTEGERS, ("x", "-1", "1.5", "1e3", "٣", "99999999999", "0x10")),
    *itertools.product(RATES, ("1000", "1000/d", "0/m", "1000/minute", "-1/m")),
    *itertools.product(RINGS, ("no-colon-" + "s" * 40, "a:short", "a:b:c", f"a b:{'s' * 40}", ",")),
    *(("JWT_SIGNING_KEYS", value) for value in SIGNING_KEYS),
    *((name, value) for table in (URLS, LISTS, OTHERS) for name in table for value in table[name]),
]
TAKEN = [
    *itertools.product(BOOLEANS, ("on", "OFF", "True", "no", "1", "")),
    *(("DATABASE_URL", url) for url in ("postgresql://u:p%2F@[::1]:5/d", "postgres://u:p@a,b:5/d")),
    *(("REDIS_URL", url) for url in ("rediss://:p@h:1/2", "unix:///s", "redis+cluster://h:1,i:2")),
    *(("ALLOWED_HOSTS", hosts) for hosts in (".example.com, [::1],127.0.0.1", "*")),
    *(("EMAIL_URL", url) for url in ("smtp+tls://u:p@h:587", "dummymail://")),
    ("CORS_ALLOWED_ORIGINS", "https://app.example.com,http://localhost:3000"),
    ("METRICS_PORT", "9100"),
    ("DRAIN_SECONDS", "2.5"),
    ("SECRET_KEY_FALLBACKS", "an-older-one"),
]
CANARY = "c4nary-0f-the-refusals"
SECRETS = (*RINGS, "SECRET_KEY", "SECRET_KEY_FALLBACKS", "METRICS_TOKEN")
SECRET_URLS = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL")
# What a secret may be mistaken for, misspelt as, or put into.
MISTAKES = [
    *("{0}", "{0}:", ":{0}", "k1:{0}", "{0}:{0}", "k1:{0},k1:{0}", "{0}:1,{0}:2", "k1:es256:{0}"),
    *("k1:ES256:{0}", "k1:EdDSA:{1}", "k1:{1}", "a {0}", "é{0}", "{0}\t{0}", "{0},{0} {0}"),
]
URL_MISTAKES = [
    *(
        "{0}",
        "a {0}",
        "http://{0}@h",
        "//{0}",
        "sqlite://{0}/x",
        "mysql://{0}",
        "redis://:{0}@h:x/0",
    ),
    *("postgres://u:{0}/x@h/d", "postgres://u:{0}#x@h/d", "postgres://u:{0}@h:x/d"),
    *("redis://:{0}/@h/0", "redis://h?{0}={0}", "redis+cluster://u:{0}@h:x"),
    *("smtp://u:{0}@h:x", "smtp+tls://u:{0}@:1"),
]
ENCODED = base64.b64encode(CANARY.encode()).decode()
FORMS = (CANARY, ENCODED.rstrip("="), quote(CANARY, safe=""), CANARY.encode().hex())


def refusals(environments: list[dict[str, str]]) -> list[str]:
    """What refused each of these environments, on top of a good one."""
    done = subprocess.run(
        [sys.executable, "-m", "fluxiq.tests.settings_loader"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], **GOOD},
        input=json.dumps(environments),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not any(form in done.stderr for form in FORMS)
    told: list[str] = json.loads(done.stdout)
    return told


def test_a_value_that_is_not_of_its_kind_is_refused_by_the_name_of_its_variable() -> None:
    told = refusals([{name: value} for name, value in BROKEN])
    wrong = [case for case, fault in zip(BROKEN, told, strict=True) if case[0] not in fault]
    assert wrong == []
    assert all("\n" not in fault for fault in told)


def test_every_spelling_that_is_documented_is_taken() -> None:
    told = refusals([{}, *({name: value} for name, value in TAKEN)])
    assert [case for case in zip(("", *TAKEN), told, strict=True) if case[1]] == []


def test_no_refusal_repeats_a_secret() -> None:
    mistaken = [
        *itertools.product(SECRETS, MISTAKES),
        *itertools.product(SECRET_URLS, URL_MISTAKES),
    ]
    cases = [{name: mistake.format(CANARY, ENCODED)} for name, mistake in mistaken]
    in_the_path = [{f"{name}_FILE": CANARY, name: ""} for name in (*SECRETS, *SECRET_URLS)]
    told = refusals([*cases, *in_the_path])
    assert sum(bool(fault) for fault in told) > len(told) // 2
    assert [fault for fault in told if any(form in fault for form in FORMS)] == []


WAYS = {
    "manage.py": ["manage.py", "list_api_keys"],
    "import": ["-c", "import fluxiq.wsgi"],
    "gunicorn": ["-m", "gunicorn", "fluxiq.wsgi", "-c", "gunicorn.conf.py"],
}


def started(way: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *WAYS[way]],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PORT": f"{free_port()}", **GOOD, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SIGNING_KEYS", CANARY * 2),
        ("DATABASE_URL", f"postgres://u:{CANARY}/x@h/d"),
    ],
)
def test_a_start_that_is_refused_says_why_in_one_line(way: str, name: str, value: str) -> None:
    done = started(way, {name: value})
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert name in lines[-1]
    assert not any(form in done.stdout + done.stderr for form in FORMS)
    if way != "import":  # Python's own traceback
        assert lines == lines[-1:]
        assert done.stdout == ""


def test_gunicorn_and_commands_say_the_same(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for environment in ({"MFA_REQUIRED_FOR_STAFF": "maybe"}, {"DATABASE_URL": ""}):
        lines = {
            started(way, environment).stderr.partition(": ")[2] for way in WAYS if way != "import"
        }
        assert len(lines) == 1
    of_file = {"SECRET_KEY": "", "SECRET_KEY_FILE": str(empty)}
    assert started("gunicorn", of_file).stderr == (
        "fluxiq: SECRET_KEY_FILE: the file that it names is empty\n"
    )


def test_settings_that_cannot_be_loaded_start_no_worker() -> None:
    done = started("gunicorn", {"DJANGO_SETTINGS_MODULE": "fluxiq.settings.misspelt"})
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert lines[-1] == "fluxiq: the settings cannot be loaded: see the traceback above"
    assert lines[-2] == "ModuleNotFoundError: No module named 'fluxiq.settings.misspelt'"
    assert "Booting worker" not in done.stderr
