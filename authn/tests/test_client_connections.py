"""authn.client: whose connections questions go over, and how often they are used."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from authn.client import Refused, Verifier
from authn.client.verifier import _after_fork
from authn.tests.asking import KEY, TIMEOUT, Ask
from authn.tests.stub import UNAUTHORIZED, Seen, Stub, granted, http
from fluxiq.tests.engines import PROJECT

pytestmark = pytest.mark.engine  # no database is touched: once is enough


class TestConnections:
    def test_one_connection_serves_question_after_question(self) -> None:
        with Stub(granted()) as stub:
            verifier = Verifier(stub.url)
            for _ in range(20):
                verifier.verify(KEY, "pix:write")
            verifier.close()
        assert stub.connections == 1
        assert len(stub.seen) == 20  # and each is asked: no answer is kept

    def test_a_refusal_keeps_the_connection(self) -> None:
        with Stub(http(401, UNAUTHORIZED)) as stub:
            verifier = Verifier(stub.url)
            for _ in range(5):
                with pytest.raises(Refused):
                    verifier.verify(KEY, "pix:write")
            verifier.close()
        assert stub.connections == 1

    def test_one_that_broke_under_a_question_is_replaced(self, ask: Ask) -> None:
        replies: Iterator[bytes | None] = iter([None, granted()])
        with Stub(lambda seen: next(replies)) as stub:
            assert ask(stub.url, KEY, "pix:write").subject == "key_1"
        assert stub.connections == 2

    def test_one_that_the_server_gave_up_is_not_used_again(self) -> None:
        with Stub(granted(Connection="close")) as stub:
            verifier = Verifier(stub.url)
            for _ in range(3):
                verifier.verify(KEY, "pix:write")
            verifier.close()
        assert stub.connections == 3

    def test_a_closed_verifier_opens_anew(self) -> None:
        with Stub(granted()) as stub:
            verifier = Verifier(stub.url)
            for _ in range(2):
                verifier.verify(KEY, "pix:write")
                verifier.close()
        assert stub.connections == 2

    def test_threads_share_it_and_each_gets_its_own_answer(self) -> None:
        def reply(seen: Seen) -> bytes:
            return granted(X_Auth_Subject=seen.headers["authorization"].removeprefix("Bearer "))

        with Stub(reply) as stub:
            verifier = Verifier(stub.url)
            callers = [f"key_{number}" for number in range(200)]
            with ThreadPoolExecutor(8) as pool:
                subjects = list(
                    pool.map(lambda c: verifier.verify(f"Bearer {c}", "pix:write").subject, callers)
                )
            verifier.close()
        assert subjects == callers
        assert stub.connections <= 8

    def test_after_a_fork_no_connection_of_the_parent_is_used(self) -> None:
        with Stub(granted()) as stub:
            verifier = Verifier(stub.url, timeout=TIMEOUT)
            for _ in range(2):
                verifier.verify(KEY, "pix:write")
            assert stub.connections == 1
            with contextlib.closing(verifier._connected()):  # the parent's, and its to close
                _after_fork()
                verifier.verify(KEY, "pix:write")
            assert stub.connections == 2
            verifier.close()

    def test_a_forked_process_opens_its_own(self) -> None:
        script = """
import os, sys
from authn.client import Verifier
verifier = Verifier(sys.argv[1])
verifier.verify("Bearer parent", "pix:write")
child = os.fork()
for _ in range(20):
    name = "parent" if child else "child"
    assert verifier.verify("Bearer " + name, "pix:write").subject == name
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert verifier.verify("Bearer parent", "pix:write").subject == "parent"
"""

        def reply(seen: Seen) -> bytes:
            return granted(X_Auth_Subject=seen.headers["authorization"].removeprefix("Bearer "))

        with Stub(reply) as stub:
            done = subprocess.run(
                [sys.executable, "-c", script, stub.url],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert stub.connections == 2

    def test_a_proxy_of_the_environment_does_not_see_the_credential(
        self, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Stub(granted()) as proxy, Stub(granted()) as stub:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            ask(stub.url, KEY, "pix:write")
        assert proxy.connections == 0
        assert stub.connections == 1
