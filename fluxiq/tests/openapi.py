"""The OpenAPI document as clients read it: its operations, its bodies, and what fits a schema."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from fluxiq.docs import document

Json = dict[str, Any]


def load() -> Json:
    """The document as clients read it."""
    loaded: Json = json.loads(document())
    return loaded


def operations(spec: Json) -> Iterator[tuple[str, Json]]:
    """Every operation, with its method and path to name it by."""
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def responses(spec: Json, operation: Json) -> dict[str, Json]:
    """The responses of an operation by status, references followed."""
    return {
        status: spec["components"]["responses"][response["$ref"].rpartition("/")[2]]
        if "$ref" in response
        else response
        for status, response in operation["responses"].items()
    }


def bodies(spec: Json, operation: Json) -> Iterator[Json]:
    """Every body that an operation reads or answers, as media type objects."""
    for holder in (operation.get("requestBody", {}), *responses(spec, operation).values()):
        yield from holder.get("content", {}).values()


def faults(spec: Json, schema: Json, value: Any) -> list[str]:
    """What is wrong with a value, against a schema of the document."""
    return violations({**schema, "components": spec["components"]}, value)


def violations(schema: Json, value: Any) -> list[str]:
    """What is wrong with a value, against a schema that is whole."""
    from openapi_schema_validator import (  # noqa: PLC0415 - takes a second, of each test process
        OAS31Validator,
        oas31_format_checker,
    )

    found = OAS31Validator(schema, format_checker=oas31_format_checker).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def strict(spec: Json) -> Json:
    """The document, taken at its word: a field that it does not know is a fault."""
    spec = copy.deepcopy(spec)
    for schema in spec["components"]["schemas"].values():
        for part in (schema, *schema.get("properties", {}).values()):
            if "properties" in part:
                part.setdefault("additionalProperties", False)
    return spec
