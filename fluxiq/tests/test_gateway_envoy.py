"""deploy/gateway/envoy, which is not run here: that it is YAML, and names every permission."""

import re
from typing import Any

import yaml

from fluxiq.scopes import Scope
from fluxiq.tests.gateways import EXAMPLES

ASKED = re.compile(r"/api/v1/auth/verify\?permission=([a-z:]+)")


def routes() -> list[dict[str, Any]]:
    example = yaml.safe_load((EXAMPLES / "envoy" / "envoy.yaml").read_text())
    manager = example["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    found: list[dict[str, Any]] = host["routes"]
    return found


def test_every_route_to_the_upstream_asks_for_the_permission_of_its_path() -> None:
    asked = []
    for route in routes():
        if route.get("route", {}).get("cluster") != "upstream":
            continue
        settings = route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]
        question = settings["check_settings"]["http_service"]["path_override"]
        match = ASKED.fullmatch(question)
        assert match is not None, question
        resource, _, action = match.group(1).partition(":")
        assert route["match"]["safe_regex"]["regex"] == f"/api/v1/{resource}(/.*)?"
        (method,) = route["match"]["headers"]
        reads = method["string_match"]["safe_regex"]["regex"] == "GET|HEAD"
        assert action == ("read" if reads else "write")
        asked.append(match.group(1))
    assert sorted(asked) == sorted(Scope)


def test_what_no_route_names_is_answered_there() -> None:
    last = routes()[-1]
    assert last["match"] == {"prefix": "/"}
    assert last["direct_response"]["status"] == 404
