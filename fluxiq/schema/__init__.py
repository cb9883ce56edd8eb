"""The OpenAPI document: what drf-spectacular cannot read off the views.

A view names each operation, its body and its answers:

    @extend_schema(
        operation_id="inviteUser",
        summary="Invite a person",
        request=MemberInvitation,
        responses={201: enveloped(MemberSerializer, "The new member."), 409: Conflict},
    )

and its `tag`. What is the same everywhere is added here: credentials, limit headers, the errors
that follow from what the view declares, what each field means, and the examples, which are put
together from those of the fields. An answer may be one of our errors, as a class, or as an
instance where its message is its own.
"""

from fluxiq.schema.answers import MOMENT, OF_MERCHANT, PAGE, empty, enveloped, extended, paged

__all__ = ["MOMENT", "OF_MERCHANT", "PAGE", "empty", "enveloped", "extended", "paged"]
