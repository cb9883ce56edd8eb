"""A Postman collection of the API, which Bruno and Insomnia read too, made of the OpenAPI document.

Each tag is a folder, each operation a request with its documented example. A sign-in or a refresh
keeps its tokens in the collection's variables, so that all that follows is signed in. Source of the
format: https://schema.postman.com/collection/json/v2.1.0/docs/index.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
LOCAL = "http://127.0.0.1:8000"
CREDENTIAL, REFRESH_TOKEN = "credential", "refresh_token"

_KEEP_PAIR = {CREDENTIAL: "data.access_token", REFRESH_TOKEN: "data.refresh_token"}
# What an answer gives to the requests after it: variable, and where it stands in the body.
_KEPT: Mapping[str, Mapping[str, str]] = {
    "login": _KEEP_PAIR,
    "finishLogin": _KEEP_PAIR,
    "refresh": _KEEP_PAIR,
    "getMe": {"merchant_id": "data.memberships[0].merchant_id"},
    "issueApiKey": {"key_id": "data.id"},
    "createAccount": {"account_id": "data.id"},
    "inviteUser": {"membership_id": "data.id"},
}
# Examples that would serve nobody but their author, and the variable that does.
_FILLED = {REFRESH_TOKEN: "{{refresh_token}}"}


def collection(document: Json) -> Json:
    """The collection, of an OpenAPI document with an example at each body and no server named."""
    named = [(tag["name"], tag["description"]) for tag in document["tags"]]
    folders = {
        name: {"name": name, "description": description, "item": []} for name, description in named
    }
    ids: dict[str, None] = {}  # in their order, each once
    for path, item in document["paths"].items():
        for method, operation in item.items():
            folders[operation["tags"][0]]["item"].append(_item(method, path, operation))
            ids.update(dict.fromkeys(re.findall(r"{(\w+)}", path)))
    variables = {"baseUrl": LOCAL, CREDENTIAL: "", REFRESH_TOKEN: "", **dict.fromkeys(ids, "")}
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "version": document["info"]["version"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [_text("token", f"{{{{{CREDENTIAL}}}}}")]},
        "variable": [_text(key, value) for key, value in variables.items()],
        "item": [folder for folder in folders.values() if folder["item"]],
    }


def _text(key: str, value: str) -> Json:
    return {"key": key, "value": value, "type": "string"}


def _item(method: str, path: str, operation: Json) -> Json:
    request: Json = {
        "method": method.upper(),
        "url": _url(path, operation.get("parameters", ())),
        "header": [
            {"key": p["name"], "value": "", "description": p["description"], "disabled": True}
            for p in operation.get("parameters", ())
            if p["in"] == "header"
        ],
        "description": operation["description"],
    }
    if not operation.get("security"):
        request["auth"] = {"type": "noauth"}
    if "requestBody" in operation:
        request["body"] = _body(operation["requestBody"]["content"])
    kept = _KEPT.get(operation["operationId"], {})
    return {
        "name": operation["summary"],
        "request": request,
        "response": list(_responses(operation["responses"], request)),
        "event": [_keeping(kept)] if kept else [],
    }


def _url(path: str, parameters: Any) -> Json:
    """The address, with what a query may hold, switched off, and variables for ids."""
    segments = [re.sub(r"^{(\w+)}$", r":\1", segment) for segment in path.strip("/").split("/")]
    return {
        "raw": "{{baseUrl}}/" + "/".join(segments),
        "host": ["{{baseUrl}}"],
        "path": segments,
        "variable": [_text(name, f"{{{{{name}}}}}") for name in re.findall(r"{(\w+)}", path)],
        "query": [
            {
                "key": parameter["name"],
                "value": str(parameter["schema"].get("default", "")),
                "description": parameter["description"],
                "disabled": True,
            }
            for parameter in parameters
            if parameter["in"] == "query"
        ],
    }


def _body(content: Mapping[str, Json]) -> Json:
    """The example as JSON, which every operation that reads a body takes."""
    example = {**_example(content)}
    example |= {name: value for name, value in _FILLED.items() if name in example}
    raw = json.dumps(example, indent=2, ensure_ascii=False)
    return {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}


def _example(content: Mapping[str, Json]) -> Any:
    body = content["application/json"]
    if "example" in body:
        return body["example"]
    return next(iter(body["examples"].values()))["value"]


def _responses(responses: Mapping[str, Json], request: Json) -> Iterator[Json]:
    """The successes, as examples; errors are the same everywhere."""
    for status, response in responses.items():
        if "application/json" in response.get("content", {}):
            if int(status) >= HTTPStatus.BAD_REQUEST:
                continue
            yield {
                "name": response["description"],
                "originalRequest": request,
                "status": HTTPStatus(int(status)).phrase,
                "code": int(status),
                "header": [{"key": "Content-Type", "value": "application/json"}],
                "body": json.dumps(_example(response["content"]), indent=2, ensure_ascii=False),
                "_postman_previewlanguage": "json",
            }


def _keeping(kept: Mapping[str, str]) -> Json:
    """A script that keeps parts of a success in the collection's variables."""
    lines = [
        f'pm.collectionVariables.set("{name}", pm.response.json().{place});'
        for name, place in kept.items()
    ]
    script = ["if (pm.response.code < 300) {", *(f"  {line}" for line in lines), "}"]
    return {"listen": "test", "script": {"type": "text/javascript", "exec": script}}
