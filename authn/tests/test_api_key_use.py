"""What an API key opens, until when, and what its use costs."""

from datetime import timedelta

from django.utils import timezone

from authn import keys, usage
from authn.tests.merchant_keys import ApiKeyTestCase
from fluxiq import counters
from fluxiq.tests.factories import issue_key


class UseTests(ApiKeyTestCase):
    def test_a_key_acts_for_its_merchant_alone(self) -> None:
        _, secret = issue_key(self.bakery)
        assert [a["id"] for a in self.data(self.get("/accounts", secret))] == [self.till.id]
        self.assert_not_found(self.get(f"/accounts/{self.shelf.id}", secret))

    def test_a_key_outlives_the_membership_of_who_made_it(self) -> None:
        secret = self.data(self.issue(), 201)["key"]
        self.olga.deactivate()
        assert self.get("/accounts", secret).status_code == 200

    def test_a_suspended_merchants_keys_are_401_until_it_is_resumed(self) -> None:
        _, secret = issue_key(self.bakery)
        self.bakery.suspend()
        self.assert_unauthorized(self.get("/accounts", secret))
        self.bakery.resume()
        assert self.get("/accounts", secret).status_code == 200

    def test_last_use_is_noted_with_its_address_and_never_moves_backwards(self) -> None:
        api_key, secret = issue_key(self.bakery)
        now = timezone.now()
        for ago, address in ((0, "203.0.113.5"), (5, "203.0.113.6"), (-1, "203.0.113.7")):
            with self.at(now - timedelta(minutes=ago)):
                self.get("/accounts", secret, REMOTE_ADDR=address)
            usage.flush()
            api_key.refresh_from_db()
            if ago == 5:
                assert api_key.last_used_at == now
                assert api_key.last_used_address == "203.0.113.5"
        assert api_key.last_used_at == now + timedelta(minutes=1)
        assert api_key.last_used_address == "203.0.113.7"

    def test_a_used_key_costs_no_write_and_no_more_reads_than_it_must(self) -> None:
        _, secret = issue_key(self.bakery)
        self.get("/accounts", secret)
        page, key_with_its_merchant = 1, 1
        is_remembered = counters.of_requests().memory is not None
        with self.assertNumQueries(page + (0 if is_remembered else key_with_its_merchant)):
            self.get("/accounts", secret)

    def test_a_key_that_cannot_be_ours_costs_no_query(self) -> None:
        _, secret = issue_key(self.bakery)
        flipped = secret[:-1] + ("0" if secret[-1] != "0" else "1")
        test_key = keys.generate("test")
        for wrong in (flipped, test_key, "sk_live_short", "sk_", secret + "0", secret.upper()):
            with self.assertNumQueries(0):
                self.assert_unauthorized(self.get("/accounts", wrong))

    def test_an_older_pepper_verifies_and_the_key_moves_to_the_newest(self) -> None:
        api_key, secret = issue_key(self.bakery)
        ring = "new:a-newer-pepper-0123456789abcdef,test-1:pepper-of-the-tests-alone-0123456789"
        with self.settings(API_KEY_PEPPERS=ring):
            assert self.get("/accounts", secret).status_code == 200
            api_key.refresh_from_db()
            assert api_key.pepper_id == "new"
        with self.settings(API_KEY_PEPPERS="new:a-newer-pepper-0123456789abcdef"):
            assert self.get("/accounts", secret).status_code == 200
        self.assert_unauthorized(self.get("/accounts", secret))
