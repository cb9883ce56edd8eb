"""deploy/systemd and deploy/nginx: what systemd and nginx take, and that the unit serves."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

import pytest

from bench.servers import HUGE_PAGES
from fluxiq.tests import jail
from fluxiq.tests.engines import PROJECT, EngineUnavailable, Process, free_port, require
from fluxiq.tests.image import USER, context
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import SECRET_NAMES, SECRETS

DEPLOY = PROJECT / "deploy"


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


def test_wherever_the_service_is_started_its_memory_is_huge_pages() -> None:
    (said,) = HUGE_PAGES.values()
    for started in ("Dockerfile", "Makefile", "deploy/systemd/fluxiq-auth.service"):
        assert re.search(rf"GLIBC_TUNABLES=\S*{re.escape(said)}", (PROJECT / started).read_text())
