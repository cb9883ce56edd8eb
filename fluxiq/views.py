"""The base of every view of the API: what it declares, and the few words it is written in."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from fluxiq import ids
from fluxiq.errors import Forbidden, NotFound, Unauthorized
from fluxiq.http import ANY_KIND, Credential
from fluxiq.pagination import Cursor
from fluxiq.principals import Kind, Principal
from fluxiq.scopes import Permission

Owned = TypeVar("Owned", bound=Model)  # a row with a `merchant_id`


class ApiView(APIView):
    """A view that says which permission each method needs, and for which kind of caller.

    `required_permissions` maps each method to its permission, or to None where being
    authenticated is enough (or nothing is, by `credential`). A view without it is refused.
    `reads_body` is False where a body, of whatever size, is ignored; `delete_has_body` is True
    where DELETE asks for one.
    """

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    credential: ClassVar[Credential] = Credential.REQUIRED
    kinds: ClassVar[frozenset[Kind]] = ANY_KIND
    reads_body: ClassVar[bool] = True
    delete_has_body: ClassVar[bool] = False
    required_permissions: ClassVar[Mapping[str, Permission | None]]

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: `Allow` goes with a 405, and `Vary` is the middleware's."""
        return {}

    @property
    def required_permission(self) -> Permission | None:
        """What the method in hand asks for."""
        method = "GET" if self.request.method == "HEAD" else self.request.method
        return self.required_permissions[str(method)]

    @property
    def principal(self) -> Principal:
        """The verified caller. Raises Unauthorized where there is none."""
        if not isinstance(self.request.auth, Principal):
            raise Unauthorized
        return self.request.auth

    def permission_denied(
        self, request: Request, message: str | None = None, code: str | None = None
    ) -> NoReturn:
        """Raises Unauthorized without a credential, else Forbidden naming what was asked for."""
        if request.auth is None and self.credential is not Credential.OPTIONAL:
            raise Unauthorized
        declared = getattr(self, "required_permissions", {})
        raise Forbidden(declared.get("GET" if request.method == "HEAD" else str(request.method)))

    def read(self, serializer: type[BaseSerializer[Any]], **options: Any) -> dict[str, Any]:
        """The validated body. Raises DRF's ValidationError."""
        bound = serializer(data=self.request.data, **options)
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)

    def judged(self, rows: "QuerySet[Owned]", prefix: ids.Prefix, object_id: str) -> "Owned":
        """The object of that id, with the method's permission judged at its merchant.

        `rows` are those that exist for the caller at all. Raises NotFound for any other, and
        Forbidden naming the permission where it is not held at the merchant that owns it.
        """
        found = rows.filter(pk=object_id).first() if ids.is_valid(prefix, object_id) else None
        if found is None:
            raise NotFound
        permission = self.required_permission
        owner = str(getattr(found, "merchant_id", ""))
        if permission is not None and not self.principal.holds(permission, owner):
            raise Forbidden(permission, owner)
        return found

    def page(self, rows: QuerySet[Any], serializer: type[BaseSerializer[Any]]) -> Response:
        """One page of a list."""
        paginator = Cursor()
        found = paginator.paginate_queryset(rows, self.request, view=self)
        return paginator.get_paginated_response(serializer(found, many=True).data)

    def whole_list(self, newest: Callable[[int], list[Any] | None]) -> Response | None:
        """A list that ends on its first page, without the work of cursors; None where it does not.

        `newest` is given a number of rows and finds so many, as they are shown, or None where it
        cannot.
        """
        if Cursor.cursor_query_param in self.request.query_params:
            return None
        self.request._request.get_host()  # a Host that is not ours is refused, as by other pages
        limit = Cursor().get_page_size(self.request)
        shown = newest(limit + 1)
        if shown is None or len(shown) > limit:
            return None
        return Response({"data": shown, "meta": {"next": None, "previous": None}})


class SoleRepresentation:
    """For a view that serves what it has, whatever the client says it accepts."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """There is one representation: serve it."""
        return super().perform_content_negotiation(request, force=True)  # type: ignore[misc]


def data(
    serializer: type[BaseSerializer[Any]],
    instance: Model | Mapping[str, Any] | object,
    status: HTTPStatus = HTTPStatus.OK,
    **extra: object,
) -> Response:
    """`{"data": …}` with what the serializer shows of the instance, and `extra`."""
    return Response({"data": {**serializer(instance).data, **extra}}, status=status)


def no_content() -> Response:
    """204."""
    return Response(status=HTTPStatus.NO_CONTENT)
