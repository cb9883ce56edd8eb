"""What drf-spectacular cannot read off a view, of each operation."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.views import APIView

from fluxiq import errors
from fluxiq.http import ANY_KIND, Credential
from fluxiq.names import PATTERN
from fluxiq.principals import Kind
from fluxiq.schema.answers import component_name
from fluxiq.schema.errors import COMMON_HEADERS, error_response, header_refs
from fluxiq.schema.fields import FIELDS, Schema, ref
from fluxiq.serializers import NameField, StrictSerializer
from fluxiq.views import ApiView

ACCESS_TOKEN, API_KEY = "accessToken", "apiKey"


class EnvelopeSchema(AutoSchema):
    """drf-spectacular's reading of a view, and what follows from what our views declare.

    Not derived, and so for the view to say: 404 for what a query or a body names, 403 for what
    no permission tells, 409, and the 401 of a view that reads no Authorization header.
    """

    view: ApiView  # type: ignore[override]  # every view of ours is one

    def get_tags(self) -> list[str]:
        return [getattr(self.view, "tag", "")]

    def get_auth(self) -> list[dict[str, list[str]]]:
        """Which credentials serve, each with the permission that it must hold.

        A client sends one of them, in the same header.
        """
        credential = self.view.credential
        if credential in (Credential.IN_BODY, Credential.IGNORED):
            return []
        permission = self.view.required_permissions[self.method]
        needed = [str(permission)] if permission is not None else []
        serve = [ACCESS_TOKEN] if Kind.USER in self.view.kinds else []
        if Kind.API_KEY in self.view.kinds and credential is not Credential.EVEN_EXPIRED:
            serve.append(API_KEY)
        accepted: list[dict[str, list[str]]] = [{name: needed} for name in serve]
        return [{}, *accepted] if credential is Credential.OPTIONAL else accepted

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        permission = self.view.required_permissions[self.method]
        if permission is not None:
            operation["description"] += f"\n\nRequires `{permission}`."
        for parameter in operation.get("parameters", ()):
            said = {**FIELDS.get(parameter["name"], {})}
            parameter.setdefault("description", said.pop("description", ""))
            parameter["schema"] = {**parameter["schema"], **said}
        responses = operation["responses"]
        for error in self._errors(operation):
            responses.setdefault(str(error.status_code), ref(error.__name__, "responses"))
        for response in responses.values():
            if "$ref" not in response:
                response.setdefault("headers", {}).update(header_refs(*COMMON_HEADERS))
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _errors(self, operation: Schema) -> Iterator[type[errors.ApiError]]:
        """The errors that the operation can answer, as far as it can be told from here."""
        view = self.view
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        if "requestBody" in operation:
            yield from (
                errors.ValidationFailed,
                errors.PayloadTooLarge,
                errors.UnsupportedMediaType,
            )
        if "query" in places:
            yield errors.ValidationFailed
        if view.credential not in (Credential.OPTIONAL, Credential.IGNORED):
            yield errors.Unauthorized
        if (
            view.required_permissions[self.method] is not None
            or view.kinds != ANY_KIND
            or view.credential is Credential.EVEN_EXPIRED
        ):
            yield errors.Forbidden
        if "path" in places:
            yield errors.NotFound
        if type(view).perform_content_negotiation is APIView.perform_content_negotiation:
            yield errors.NotAcceptable
        yield from (errors.RateLimited, errors.InternalError, errors.ServiceUnavailable)

    def _get_response_for_code(
        self, serializer: Any, status_code: str, *args: Any, **kwargs: Any
    ) -> Schema:
        if isinstance(serializer, errors.ApiError):
            return error_response(serializer)
        if isinstance(serializer, type) and issubclass(serializer, errors.ApiError):
            return ref(serializer.__name__, "responses")
        schema: Schema = super()._get_response_for_code(  # type: ignore[no-untyped-call]
            serializer, status_code, *args, **kwargs
        )
        return schema

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        """As drf-spectacular's, which knows no body of a DELETE (RFC 9110, section 9.3.5, has one
        where the server asks for it)."""
        method = self.method
        if method == "DELETE" and self.view.delete_has_body:
            self.method = "POST"
        try:
            body: Schema | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method
        return body

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Schema:
        """The schema of a body, with what is said of each field."""
        schema: Schema = super()._map_basic_serializer(  # type: ignore[no-untyped-call]
            serializer, direction
        )
        names = [component_name(cls) for cls in type(serializer).__mro__]
        for member, found in schema["properties"].items():
            keys = (*(f"{name}.{member}" for name in names), member)
            said = next((FIELDS[key] for key in keys if key in FIELDS), {})
            replaces = {"$ref", "anyOf"} & said.keys()
            schema["properties"][member] = {**({} if replaces else found), **said}
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
            for name, member in serializer.fields.items():
                if isinstance(member, serializers.CharField) and not member.allow_blank:
                    schema["properties"][name].setdefault("minLength", 1)
                if isinstance(member, NameField):
                    schema["properties"][name]["pattern"] = PATTERN
        return schema
