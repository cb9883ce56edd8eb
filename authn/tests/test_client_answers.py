"""authn.client.Client: refusals, lists, what is no answer, and that a call has one credential."""

import pytest

from authn.client import ApiError, Client, NoAnswer, SessionOver
from authn.tests.answers import answering, pair
from authn.tests.stub import Stub, error, http

pytestmark = pytest.mark.engine  # no database of the test's own: once is enough


class TestAnswers:
    def test_a_refusal_says_what_the_service_said(self) -> None:
        answer = error(403, "FORBIDDEN", "Not you", required_permission="pix:write")
        with (
            Stub(answer) as stub,
            Client(stub.url, api_key="k") as client,
            pytest.raises(ApiError, match="403 FORBIDDEN: Not you") as refused,
        ):
            client.get("/accounts")
        assert refused.value.error["required_permission"] == "pix:write"

    @pytest.mark.parametrize(
        "answer",
        [
            http(200, b"<html>"),
            http(404, b"<html>"),
            http(404, b"[]"),
            http(404, b"{}"),
            http(200, b"no gzip", Content_Encoding="gzip"),
            http(302, Location="http://127.0.0.1:1/"),
        ],
    )
    def test_whatever_is_no_answer_of_the_service_is_none(self, answer: bytes) -> None:
        with Stub(answer) as stub, Client(stub.url, api_key="k") as client:
            with pytest.raises(NoAnswer):
                client.get("/accounts")
            assert len(stub.seen) == 1

    def test_a_list_is_followed_by_its_query_and_never_to_another_host(self) -> None:
        first = b'{"data":[1,2],"meta":{"next":"http://other.example/x?limit=2&cursor=c%3D","previous":null}}'
        last = b'{"data":[3],"meta":{"next":null,"previous":null}}'
        with (
            Stub(answering(http(200, first), http(200, last))) as stub,
            Client(stub.url, api_key="k") as client,
        ):
            assert list(client.pages("/accounts", limit=2)) == [1, 2, 3]
        assert [seen.query for seen in stub.seen] == [
            [("limit", "2")],
            [("limit", "2"), ("cursor", "c=")],
        ]
        assert {seen.path for seen in stub.seen} == {"/api/v1/accounts"}

    def test_a_key_and_a_session_do_not_go_together(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            Client("http://127.0.0.1", api_key="k", pair=pair())
        with (
            Client("http://127.0.0.1", api_key="k") as client,
            pytest.raises(ValueError, match="no session"),
        ):
            client.sign_in("12345678901", "your-password")

    def test_a_call_without_either_asks_to_sign_in(self) -> None:
        with Client("http://127.0.0.1:1") as client, pytest.raises(SessionOver, match="sign in"):
            client.get("/accounts")
        with Client("http://127.0.0.1:1") as client:
            client.sign_out()
