"""The ids of the keys that a process has verified, by digest."""

from django.test import override_settings

from authn import peppers
from authn.peppers import digest_of, id_of, learn_id
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

OLD, NEW = "test-1:pepper-of-the-tests-alone-0123456789", "new:a-newer-pepper-0123456789abcdef"


class KnownIdsTests(ApiTestCase):
    def test_an_id_is_known_once_its_key_was_verified_and_under_the_ring_of_then(self) -> None:
        api_key, secret = issue_key(self.bakery)
        assert id_of(digest_of(secret)) is None
        assert self.get("/auth/me", secret).status_code == 200
        assert id_of(digest_of(secret)) == api_key.id
        with override_settings(API_KEY_PEPPERS=f"{NEW},{OLD}"):
            assert id_of(digest_of(secret)) is None

    def test_a_key_that_is_refused_is_not_learned(self) -> None:
        api_key, secret = issue_key(self.bakery)
        api_key.revoke()
        self.assert_unauthorized(self.get("/auth/me", secret))
        assert id_of(digest_of(secret)) is None

    def test_the_oldest_go_where_there_are_many(self) -> None:
        digests = [f"{number}".encode() for number in range(peppers.MAX_IDS + 1)]
        for digest in digests:
            learn_id(digest, "key_1")
        assert id_of(digests[0]) is None
        assert {id_of(digest) for digest in digests[1:]} == {"key_1"}
