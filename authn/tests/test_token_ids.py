"""The ids in a token: one without the shape of an id is refused before anything is asked for it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from django.test import override_settings
from django_ratelimit.core import get_usage

from authn.models import ApiKey
from authn.tests.tokens import claims, forge
from fluxiq.tests.base import ApiTestCase

REFRESH = {"alg": "HS256", "kid": "test-1", "typ": "rt+jwt"}
OF_REFRESH = {"aud": "fluxiq/refresh", "token_type": "refresh"}
UNFIT = (
    "\ud800", "\udfff", "a\x00b", "\x00", "x" * 500, "é", "*", "usr_1", "ses_1", "1", " ",
    "usr_01HQGX3VJ8Z5Y6W7T8R9QPNM0\ud800", "ses_01HQGX3VJ8Z5Y6W7T8R9QPNM0\x00",
    "usr_81HQGX3VJ8Z5Y6W7T8R9QPNM0K", "usr_01hqgx3vj8z5y6w7t8r9qpnm0k",
    "ses_01HQGX3VJ8Z5Y6W7T8R9QPNM0I", "key_01HQGX3VJ8Z5Y6W7T8R9QPNM0K", "A" * 32, "0" * 31,
    "0" * 33,
)  # fmt: skip


@override_settings(RATE_LIMIT_ANONYMOUS=(100_000, 60))
class TokenIdTests(ApiTestCase):
    def unfit(self, **others: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """Claims of a signed token that is good but for one id."""
        good = claims(**others)
        for name in ("sub", "sid", "jti"):
            assert name in good
            for value in UNFIT:
                yield f"{name}={value!a}"[:60], {**good, name: value}
        yield "exchanged", {**good, "sub": good["sid"], "sid": good["sub"]}

    @contextmanager
    def only_its_address_is_counted(self) -> Iterator[None]:
        """A block without a query, in which nothing else than the client's address is counted."""
        with (
            self.assertNumQueries(0),
            mock.patch("authn.ratelimit.get_usage", wraps=get_usage) as counted,
        ):
            yield
        assert {call.kwargs["group"] for call in counted.call_args_list} == {"address:"}

    def assert_refused_unasked(self, send: Callable[[str], Any]) -> None:
        for label, payload in self.unfit():
            with self.subTest(label), self.only_its_address_is_counted():
                self.assert_unauthorized(send(forge(payload=payload)))

    def test_who_calls_with_one_is_401(self) -> None:
        for path in ("/auth/me", "/auth/verify"):
            self.assert_refused_unasked(partial(self.get, path))

    def test_who_logs_out_with_one_is_401(self) -> None:
        self.assert_refused_unasked(partial(self.post, "/auth/logout"))

    def test_who_refreshes_with_one_is_401(self) -> None:
        for label, payload in self.unfit(**OF_REFRESH):
            body = {"refresh_token": forge(REFRESH, payload)}
            with self.subTest(label), self.only_its_address_is_counted():
                self.assert_unauthorized(self.post("/auth/refresh", None, body))

    def test_it_is_inactive_to_a_service(self) -> None:
        _, service = ApiKey.objects.issue_service_key(name="Ledger")
        for label, payload in self.unfit():
            with self.subTest(label):
                answer = self.post("/auth/introspect", service, {"token": forge(payload=payload)})
                assert json.loads(answer.content) == {"active": False}

    def test_its_revocation_ends_nothing(self) -> None:
        for header, of_kind in ((None, {}), (REFRESH, OF_REFRESH)):
            for label, payload in self.unfit(**of_kind):
                with self.subTest(label), self.only_its_address_is_counted():
                    body = {"token": forge(header, payload)}
                    assert self.post("/auth/revoke", None, body).status_code == 200
