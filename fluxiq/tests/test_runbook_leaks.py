"""What docs/runbook.md says to do when something leaked is done as it stands there, and serves."""

import json
from http import HTTPStatus
from pathlib import Path

import pytest

from fluxiq.tests import documentation
from fluxiq.tests.factories import PASSWORD, Phone
from fluxiq.tests.runbook import RUNBOOK
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, SECRETS, Service, serving

pytestmark = pytest.mark.engine

API = "/api/v1"
MANAGER, OPERATOR = 1, 2  # of the demo's people
SQUATTED = "98765432100"


def enrol(service: Service, number: int) -> str:
    """Give one of the demo's people a second factor; their access token."""
    token: str = service.sign_in(number)["access_token"]
    body = {"current_password": service.demo["users"][number]["password"]}
    secret = service.call("POST", f"{API}/auth/mfa/enrol", token, body).json["data"]["secret"]
    code = {"code": Phone(secret, ()).code()}
    assert service.call("POST", f"{API}/auth/mfa/confirm", token, code).status == HTTPStatus.OK
    return token


def test_each_step_runs_and_what_leaked_serves_no_more(tmp_path: Path) -> None:
    with serving(EMBEDDED, NO_LIMITS, workers=1) as service:
        reader = documentation.reader(service, tmp_path)
        owner = reader.variables["TOKEN"]
        keys = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
        body = {"name": "Leaked", "permissions": ["accounts:read"]}
        leaked = service.call("POST", keys, owner, body).json["data"]
        tokens = [owner, *(enrol(service, number) for number in (MANAGER, OPERATOR))]
        me = service.call("GET", f"{API}/auth/me", tokens[1]).json["data"]
        (old,) = {SECRETS[name].partition(":")[0] for name in ("API_KEY_PEPPERS", "MFA_KEYS")}
        reader.variables |= {"KEY_ID": leaked["id"], "USER_ID": me["id"], "OLD_ID": old}
        squatter = ("create_user", SQUATTED, "--name", "Squatter", "--password-stdin", "--json")
        made = json.loads(service.manage(*squatter, stdin=PASSWORD))
        reader.variables["SQUATTED_ID"] = made["id"]
        (tmp_path / "leaked.txt").write_text(leaked["key"])
        (tmp_path / "exports").mkdir()
        service.manage("verify_audit_log", "--head", str(tmp_path / "head.json"))

        documentation.follow(RUNBOOK, reader)

        for key in (leaked["key"], service.demo["key"]):
            assert service.call("GET", f"{API}/accounts", key).status == HTTPStatus.UNAUTHORIZED
        squatter_signs_in = {"document": SQUATTED, "password": PASSWORD}
        answer = service.call("POST", f"{API}/auth/login", None, squatter_signs_in)
        assert answer.status == HTTPStatus.UNAUTHORIZED
        for token in tokens:
            assert service.call("GET", f"{API}/auth/me", token).status == HTTPStatus.UNAUTHORIZED
        for number in (MANAGER, OPERATOR):  # whose second factors are no more
            assert service.sign_in(number)["access_token"]
