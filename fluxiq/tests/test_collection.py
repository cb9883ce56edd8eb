"""The Postman collection: every operation once, with what it takes to send it.

Newman, which runs such collections, has run this one; it brings too much to be installed for that.
"""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import SimpleTestCase
from django.urls import resolve

from fluxiq.collection import SCHEMA, collection
from fluxiq.docs import document
from fluxiq.tests.openapi import faults, operations, violations

pytestmark = pytest.mark.once

Json = dict[str, Any]

# What of the format we use, as its own schema has it: https://schema.postman.com
_TEXT = {"type": "string"}
_PAIRS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["key", "value"],
        "properties": {"key": _TEXT, "value": _TEXT, "disabled": {"type": "boolean"}},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["method", "url", "header"],
    "properties": {
        "method": {"enum": ["GET", "POST", "PATCH", "DELETE"]},
        "url": {
            "type": "object",
            "required": ["raw", "host", "path"],
            "properties": {
                "raw": _TEXT,
                "host": {"const": ["{{baseUrl}}"]},
                "path": {"type": "array", "items": _TEXT},
                "query": _PAIRS,
                "variable": _PAIRS,
            },
        },
        "header": _PAIRS,
        "body": {
            "type": "object",
            "required": ["mode", "raw"],
            "properties": {"mode": {"const": "raw"}, "raw": _TEXT},
        },
        "auth": {"const": {"type": "noauth"}},
        "description": _TEXT,
    },
    "additionalProperties": False,
}
_ITEM = {
    "type": "object",
    "required": ["name", "request"],
    "properties": {
        "name": _TEXT,
        "request": _REQUEST,
        "response": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "code", "body"],
                "properties": {
                    "originalRequest": _REQUEST,
                    "code": {"type": "integer"},
                    "header": _PAIRS,
                    "body": _TEXT,
                },
            },
        },
        "event": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["listen", "script"],
                "properties": {"listen": {"enum": ["test", "prerequest"]}},
            },
        },
    },
    "additionalProperties": False,
}
_COLLECTION = {
    "type": "object",
    "required": ["info", "item"],
    "properties": {
        "info": {
            "type": "object",
            "required": ["name", "schema"],
            "properties": {"schema": {"const": SCHEMA}},
        },
        "item": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "item"],
                "properties": {"item": {"type": "array", "minItems": 1, "items": _ITEM}},
            },
        },
        "variable": _PAIRS,
        "auth": {
            "type": "object",
            "required": ["type", "bearer"],
            "properties": {"type": {"const": "bearer"}, "bearer": _PAIRS},
        },
    },
    "additionalProperties": False,
}


class CollectionTests(SimpleTestCase):
    def setUp(self) -> None:
        self.spec: Json = json.loads(document())
        self.made = collection(self.spec)

    def items(self) -> Iterator[tuple[Json, Json]]:
        """Each request, with the operation that it is of."""
        by_summary = {operation["summary"]: operation for _, operation in operations(self.spec)}
        for folder in self.made["item"]:
            for item in folder["item"]:
                operation = by_summary.pop(item["name"])
                assert operation["tags"] == [folder["name"]]
                yield item, operation
        assert not by_summary, "these are missing"

    def test_it_is_of_the_format(self) -> None:
        assert violations(_COLLECTION, self.made) == []

    def test_every_operation_is_there_once_under_its_tag(self) -> None:
        assert len(list(self.items())) == len(list(operations(self.spec)))

    def test_every_request_leads_to_its_operation(self) -> None:
        for item, operation in self.items():
            request = item["request"]
            path = "/" + "/".join(request["url"]["path"])
            documented = re.sub(r":(\w+)", r"{\1}", path)
            assert self.spec["paths"][documented][request["method"].lower()] == operation
            assert resolve(path).route

    def test_every_body_is_one_that_the_operation_takes(self) -> None:
        for item, operation in self.items():
            assert ("body" in item["request"]) is ("requestBody" in operation), item["name"]
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                body = json.loads(item["request"]["body"]["raw"])
                assert not faults(self.spec, schema, body), item["name"]

    def test_who_needs_no_credential_sends_none(self) -> None:
        for item, operation in self.items():
            is_open = item["request"].get("auth") == {"type": "noauth"}
            assert is_open is (not operation.get("security")), item["name"]

    def test_every_variable_is_declared_and_no_other(self) -> None:
        declared = {variable["key"] for variable in self.made["variable"]}
        assert set(re.findall(r"{{(\w+)}}", json.dumps(self.made))) == declared

    def test_what_an_answer_gives_to_others_stands_in_it(self) -> None:
        kept = set()
        for item, _ in self.items():
            for event in item["event"]:
                answer = json.loads(item["response"][0]["body"])
                for line in event["script"]["exec"]:
                    found = re.fullmatch(
                        r'  pm\.\w+\.set\("(\w+)", pm\.response\.json\(\)\.(.+)\);', line
                    )
                    if found:
                        kept.add(found[1])
                        value = answer
                        for step in re.findall(r"\w+", found[2]):
                            value = value[int(step) if step.isdigit() else step]
                        assert isinstance(value, str), line
        assert kept == {
            "credential",
            "refresh_token",
            "merchant_id",
            "key_id",
            "account_id",
            "membership_id",
        }

    def test_the_command_prints_it(self) -> None:
        printed = io.StringIO()
        call_command("make_collection", stdout=printed)
        assert json.loads(printed.getvalue()) == self.made
