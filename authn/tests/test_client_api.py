"""authn.client.Client: sessions refreshed once, waits that are bounded, and nothing sent twice."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from authn.client import ApiError, Client, NoAnswer, Pair, SessionOver, api
from authn.tests.stub import UNAUTHORIZED, Answer, Seen, Stub, error, http
from fluxiq.tests.engines import free_port

pytestmark = pytest.mark.engine  # no database of the test's own: once is enough

DEAD = http(401, UNAUTHORIZED)
OK = http(200, b'{"data":{"id":"acc_1"}}')
LIMITED = http(
    429, b'{"error":{"code":"RATE_LIMITED","message":"no","retry_after":7}}', Retry_After="7"
)
AWAY = error(503, "SERVICE_UNAVAILABLE")


def pair_answer(number: int) -> bytes:
    """A refresh that succeeds."""
    tokens = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
    return http(200, json.dumps({"data": {**tokens, "expires_in": 900}}).encode())


def pair(number: int = 0, *, left: float = 900) -> Pair:
    """The tokens of that number, the access token good for so many seconds more."""
    return Pair(f"access-{number}", f"refresh-{number}", time.time() + left)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for, none of which is waited: the clock is put on instead."""
    asked: list[float] = []
    clock = SimpleNamespace(
        time=time.time,
        monotonic=lambda: time.monotonic() + sum(asked),
        sleep=asked.append,
    )
    monkeypatch.setattr(api, "time", clock)
    return asked


def answering(*answers: Answer) -> Callable[[Seen], Answer]:
    """One answer after the other, and the last for ever."""
    following = chain(answers, repeat(answers[-1]))
    return lambda seen: next(following)


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
