"""authn.client.Client: waits are bounded, and nothing is sent twice that may have been done."""

import pytest

from authn.client import ApiError, Client, NoAnswer, api
from authn.tests.answers import AWAY, LIMITED, OK, answering
from authn.tests.stub import Stub
from fluxiq.tests.engines import free_port

pytestmark = pytest.mark.engine  # no database of the test's own: once is enough


class TestWaiting:
    def test_a_429_is_waited_for_as_long_as_it_says(self, waits: list[float]) -> None:
        with Stub(answering(LIMITED, OK)) as stub, Client(stub.url, api_key="k") as client:
            assert client.post("/accounts", {"name": "Safe"}) == {"id": "acc_1"}
        assert waits == [7]

    def test_a_wait_beyond_patience_is_refused_at_once(self, waits: list[float]) -> None:
        with (
            Stub(answering(LIMITED)) as stub,
            Client(stub.url, api_key="k", patience=6) as client,
            pytest.raises(ApiError) as refused,
        ):
            client.get("/accounts")
        assert refused.value.error["retry_after"] == 7
        assert waits == []

    def test_no_call_waits_for_longer_than_its_patience(self, waits: list[float]) -> None:
        with (
            Stub(answering(LIMITED)) as stub,
            Client(stub.url, api_key="k", patience=60) as client,
            pytest.raises(ApiError),
        ):
            client.get("/accounts")
        assert sum(waits) <= 60
        assert len(stub.seen) == 9

    def test_a_read_is_tried_again_and_a_write_is_not(self, waits: list[float]) -> None:
        for trouble in (AWAY, None):
            with Stub(answering(trouble, OK)) as stub, Client(stub.url, api_key="k") as client:
                assert client.get("/accounts/acc_1") == {"id": "acc_1"}
                stub.reply = answering(trouble, OK)
                with pytest.raises((ApiError, NoAnswer)):
                    client.post("/accounts", {"name": "Safe"})
                assert len(stub.seen) == 3

    def test_a_write_with_an_idempotency_key_is_tried_again(self, waits: list[float]) -> None:
        with Stub(answering(None, OK)) as stub, Client(stub.url, api_key="k") as client:
            client.post("/merchants/m/api-keys/k/rotate", {}, idempotency_key="once")
        assert [seen.headers["idempotency-key"] for seen in stub.seen] == ["once", "once"]

    def test_pauses_grow_and_are_spread(self, waits: list[float]) -> None:
        client = Client(f"http://127.0.0.1:{free_port()}", api_key="k", patience=20)
        with client, pytest.raises(NoAnswer, match="ConnectError"):
            client.post("/accounts", {})  # was never sent: it may be
        assert len(waits) >= 5
        for number, wait in enumerate(waits):
            bound = min(api.FIRST_PAUSE_SECONDS * 2**number, api.LONGEST_PAUSE_SECONDS)
            assert bound / 2 <= wait <= bound
        assert sum(waits) <= 20

    @pytest.mark.parametrize("stated", ["", "-1", "soon", "1.5", "²", "9" * 5000])
    def test_a_time_to_wait_that_is_none_is_not_waited(self, stated: str) -> None:
        limited = LIMITED.replace(b"Retry-After: 7", f"Retry-After: {stated}".encode())
        with (
            Stub(answering(limited, OK)) as stub,
            Client(stub.url, api_key="k", patience=1) as client,
        ):
            assert client.get("/accounts/acc_1") == {"id": "acc_1"}
