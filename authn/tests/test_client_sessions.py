"""authn.client.Client: a session is refreshed once for all, kept, and not lost with an answer."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from authn.client import ApiError, Client, NoAnswer, Pair, SessionOver, api
from authn.tests.answers import AWAY, DEAD, OK, answering, pair, pair_answer
from authn.tests.stub import Answer, Seen, Stub, error, http

pytestmark = pytest.mark.engine  # no database of the test's own: once is enough


def service_of(sessions: dict[str, str]) -> Callable[[Seen], Answer]:
    """Takes `access-1` alone, and gives it for any refresh. Counts by path into `sessions`."""
    lock = threading.Lock()

    def reply(seen: Seen) -> Answer:
        with lock:
            sessions[seen.path] = sessions.get(seen.path, "") + "."
        if seen.path.endswith("/auth/refresh"):
            time.sleep(0.1)  # for the others to come and wait
            return pair_answer(1)
        return OK if seen.headers.get("authorization") == "Bearer access-1" else DEAD

    return reply


class TestSession:
    def test_a_challenge_and_a_code_start_one(self) -> None:
        with Stub(answering(pair_answer(1))) as stub, Client(stub.url) as client:
            client.finish_sign_in("mfa_1", "123456")
            assert client.pair is not None
            assert client.pair.access_token == "access-1"
        (seen,) = stub.seen
        assert (seen.method, seen.path) == ("POST", "/api/v1/auth/login/mfa")

    def test_a_success_without_tokens_starts_none(self) -> None:
        for body in (b'{"data":{}}', b'{"data":null}', b"[]", b'{"data":{"expires_in":"soon"}}'):
            with (
                Stub(http(200, body)) as stub,
                Client(stub.url) as client,
                pytest.raises(NoAnswer, match="a success without a pair of tokens"),
            ):
                client.sign_in("12345678901", "a password")
            assert client.pair is None

    def test_a_refresh_that_is_refused_for_another_reason_ends_nothing(self) -> None:
        with (
            Stub(answering(DEAD, error(400, "VALIDATION_ERROR"))) as stub,
            Client(stub.url, pair=pair()) as client,
        ):
            with pytest.raises(ApiError) as refused:
                client.get("/accounts")
            assert client.pair is not None
        assert (refused.type, refused.value.status) == (ApiError, 400)

    def test_a_401_is_refreshed_once_and_the_call_made_again(self) -> None:
        kept: list[Pair | None] = []
        with (
            Stub(answering(DEAD, pair_answer(1), OK)) as stub,
            Client(stub.url, pair=pair(), keep=kept.append) as client,
        ):
            assert client.get("/accounts/acc_1") == {"id": "acc_1"}
        assert [
            (seen.path.removeprefix("/api/v1"), seen.headers.get("authorization"))
            for seen in stub.seen
        ] == [
            ("/accounts/acc_1", "Bearer access-0"),
            ("/auth/refresh", None),
            ("/accounts/acc_1", "Bearer access-1"),
        ]
        assert [one and one.refresh_token for one in kept] == ["refresh-1"]

    def test_a_call_that_is_401_with_a_fresh_token_too_is_refused(self) -> None:
        with (
            Stub(answering(DEAD, pair_answer(1), DEAD)) as stub,
            Client(stub.url, pair=pair()) as client,
            pytest.raises(ApiError) as refused,
        ):
            client.get("/accounts")
        assert (refused.value.status, refused.value.code) == (401, "UNAUTHORIZED")
        assert len(stub.seen) == 3

    def test_a_token_about_to_end_is_refreshed_before_it_is_sent(self) -> None:
        with (
            Stub(answering(pair_answer(1), OK)) as stub,
            Client(stub.url, pair=pair(left=api.EARLY_SECONDS - 1)) as client,
        ):
            client.get("/accounts/acc_1")
        assert stub.seen[0].path == "/api/v1/auth/refresh"
        assert len(stub.seen) == 2

    def test_of_many_threads_one_refreshes_and_all_go_on(self) -> None:
        counted: dict[str, str] = {}
        with (
            Stub(service_of(counted)) as stub,
            Client(stub.url, pair=pair()) as client,
            ThreadPoolExecutor(8) as pool,
        ):
            answers = list(pool.map(client.get, ["/accounts/acc_1"] * 8))
        assert answers == [{"id": "acc_1"}] * 8
        assert counted["/api/v1/auth/refresh"] == "."

    def test_the_new_pair_is_kept_before_it_is_used(self) -> None:
        used_before: list[int] = []
        with Stub(answering(DEAD, pair_answer(1), OK)) as stub:

            def keep(_: Pair | None) -> None:
                used_before.append(len(stub.seen))

            with Client(stub.url, pair=pair(), keep=keep) as client:
                client.get("/accounts")
        assert used_before == [2]

    def test_what_keeping_raises_ends_the_call(self) -> None:
        def full(_: Pair | None) -> None:
            raise OSError("the disk is full")

        with (
            Stub(answering(DEAD, pair_answer(1), OK)) as stub,
            Client(stub.url, pair=pair(), keep=full) as client,
        ):
            with pytest.raises(OSError, match="full"):
                client.get("/accounts")
            assert client.pair is not None
            assert client.pair.refresh_token == "refresh-1"  # it is not lost

    def test_a_refused_refresh_is_the_end_and_is_kept(self) -> None:
        kept: list[Pair | None] = []
        with (
            Stub(answering(DEAD)) as stub,
            Client(stub.url, pair=pair(), keep=kept.append) as client,
        ):
            with pytest.raises(SessionOver):
                client.get("/accounts")
            with pytest.raises(SessionOver, match="sign in"):
                client.get("/accounts")
        assert kept == [None]
        assert len(stub.seen) == 2

    def test_a_lost_answer_to_a_refresh_is_asked_for_again(self, waits: list[float]) -> None:
        with (
            Stub(answering(DEAD, None, AWAY, pair_answer(1), OK)) as stub,
            Client(stub.url, pair=pair()) as client,
        ):
            assert client.get("/accounts/acc_1") == {"id": "acc_1"}
        assert len(waits) == 2

    def test_but_not_for_so_long_that_it_would_be_taken_for_theft(self, waits: list[float]) -> None:
        with (
            Stub(answering(DEAD, None)) as stub,
            Client(stub.url, pair=pair()) as client,
            pytest.raises(NoAnswer),
        ):
            client.get("/accounts")
        assert 0 < sum(waits) <= api.REFRESH_SECONDS
        assert client.pair is not None  # it may serve yet

    def test_a_pair_shows_no_token(self) -> None:
        assert "access-0" not in repr(pair())
        assert "refresh-0" not in repr(pair())
