"""Cursor pages: walked in both directions, and bad limits and cursors refused."""

from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from django.test import override_settings

from fluxiq import ids
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PaymentAccountFactory
from merchants.models import PaymentAccount


def cursor(text: str) -> str:
    return quote(b64encode(text.encode()).decode())


class PageTestCase(ApiTestCase):
    def page(self, path: str) -> Any:
        """A page by its path below /api/v1, or by the URL of a link."""
        self.forget_counts()
        response = self.get(path.removeprefix("http://testserver/api/v1"), self.olga)
        assert response.status_code == 200, response.content
        body = response.json()
        assert sorted(body) == ["data", "meta"]
        assert sorted(body["meta"]) == ["next", "previous"]
        return body

    def walk(self, path: str, direction: str = "next") -> list[list[str]]:
        """The ids of each page, from that one on, following the links."""
        pages, url = [], path
        while url:
            body = self.page(url)
            pages.append([row["id"] for row in body["data"]])
            url = body["meta"][direction]
            assert len(pages) < 100, "the links go round in a circle"
        return pages


class WalkTests(PageTestCase):
    def setUp(self) -> None:
        super().setUp()
        for _ in range(22):
            PaymentAccountFactory.create(merchant=self.bakery)
        rows = PaymentAccount.objects.filter(merchant=self.bakery).order_by("-id")
        self.all_ids = list(rows.values_list("id", flat=True))
        assert len(self.all_ids) == 23

    def test_all_rows_are_walked_forwards_once_each_whatever_the_limit(self) -> None:
        for limit in (1, 2, 5, 7, 22, 23, 24, 100):
            pages = self.walk(f"/accounts?limit={limit}")
            assert [i for page in pages for i in page] == self.all_ids, limit
            assert all(len(page) == limit for page in pages[:-1])
            assert 0 < len(pages[-1]) <= limit

    def test_all_rows_are_walked_backwards_once_each(self) -> None:
        for limit in (1, 2, 5, 7, 22):
            url = f"/accounts?limit={limit}"
            while (body := self.page(url))["meta"]["next"]:
                url = body["meta"]["next"]
            pages = self.walk(url, "previous")
            assert [i for page in reversed(pages) for i in page] == self.all_ids, limit

    def test_back_and_forth_comes_to_the_same_page(self) -> None:
        first = self.page("/accounts?limit=5")
        second = self.page(first["meta"]["next"])
        third = self.page(second["meta"]["next"])
        back = self.page(third["meta"]["previous"])
        assert back["data"] == second["data"]
        assert self.page(back["meta"]["previous"])["data"] == first["data"]
        assert self.page(back["meta"]["next"])["data"] == third["data"]

    def test_the_ends_have_no_link_beyond_them(self) -> None:
        first = self.page("/accounts?limit=20")
        assert first["meta"]["previous"] is None
        last = self.page(first["meta"]["next"])
        assert last["meta"]["next"] is None
        assert self.page(last["meta"]["previous"])["meta"]["previous"] is None

    def test_a_whole_list_on_one_page_has_no_links(self) -> None:
        assert self.page("/accounts?limit=23")["meta"] == {"next": None, "previous": None}

    def test_without_a_limit_a_page_has_25(self) -> None:
        for _ in range(3):
            PaymentAccountFactory.create(merchant=self.bakery)
        body = self.page("/accounts")
        assert len(body["data"]) == 25
        assert body["meta"]["next"] is not None

    def test_rows_that_come_while_walking_shift_nothing(self) -> None:
        first = self.page("/accounts?limit=10")
        PaymentAccountFactory.create(merchant=self.bakery)
        rest = self.walk(first["meta"]["next"])
        assert [r["id"] for r in first["data"]] + [i for p in rest for i in p] == self.all_ids

    def test_a_row_that_goes_while_walking_loses_no_other(self) -> None:
        first = self.page("/accounts?limit=10")
        PaymentAccount.objects.filter(pk=first["data"][-1]["id"]).delete()
        rest = self.walk(first["meta"]["next"])
        assert [i for p in rest for i in p] == self.all_ids[10:]

    def test_links_keep_the_limit_and_the_filter(self) -> None:
        body = self.page(f"/accounts?limit=4&merchant_id={self.bakery.id}")
        link = urlsplit(body["meta"]["next"])
        query = parse_qs(link.query)
        assert (link.scheme, link.netloc, link.path) == ("http", "testserver", "/api/v1/accounts")
        assert (query["limit"], query["merchant_id"]) == (["4"], [self.bakery.id])
        assert len(self.page(body["meta"]["next"])["data"]) == 4

    def test_a_cursor_of_another_tenant_opens_nothing_of_theirs(self) -> None:
        link = self.page("/accounts?limit=4")["meta"]["next"]
        theirs = self.get(link.removeprefix("http://testserver/api/v1"), self.ana)
        assert {row["merchant_id"] for row in theirs.json()["data"]} <= {self.bookshop.id}


class EmptyTests(PageTestCase):
    def test_an_empty_list_is_a_page_without_links(self) -> None:
        PaymentAccount.objects.filter(merchant=self.bakery).delete()
        assert self.page("/accounts") == {"data": [], "meta": {"next": None, "previous": None}}

    def test_a_cursor_beyond_the_end_is_an_empty_page(self) -> None:
        for position in ("acc_" + "0" * 26, self.till.id):
            assert self.page(f"/accounts?cursor={cursor('p=' + position)}")["data"] == []


class LimitTests(PageTestCase):
    def test_limits_from_1_to_100_are_taken(self) -> None:
        for limit in ("1", "99", "100", "007", "0100"):
            self.page(f"/accounts?limit={limit}")

    def test_any_other_is_400(self) -> None:
        for limit in ("0", "101", "-1", "+1", "1.0", "1e2", "", "%20", "1%20", "x", "true", "null",
                      "0x10", "%D9%A3", "%C2%B2", "%00", "1%00", "1,2", "1_0", "999999999999999",
                      "0000"):  # fmt: skip
            self.forget_counts()
            response = self.get(f"/accounts?limit={limit}", self.olga)
            self.assert_invalid(response, "limit")

    def test_zeros_before_it_hide_no_larger_one(self) -> None:
        for limit in ("0050000", "000101", "00999999999"):
            self.assert_invalid(self.get(f"/accounts?limit={limit}", self.olga), "limit")

    def test_zeros_before_it_hide_none_that_no_database_takes(self) -> None:
        for zeros in (40, 5000):
            response = self.get("/accounts?limit=0001" + "0" * zeros, self.olga)
            self.assert_invalid(response, "limit")

    def test_no_list_takes_more_than_100(self) -> None:
        key_list = f"/merchants/{self.bakery.id}/api-keys"
        for path in ("/merchants", "/accounts", "/users", "/auth/sessions", key_list):
            self.assert_invalid(self.get(f"{path}?limit=101", self.olga), "limit")
            self.assert_invalid(self.get(f"{path}?cursor=x", self.olga), "cursor")

    @override_settings(RATE_LIMIT_JWT=(10_000, 60))
    def test_a_hundred_are_served_on_one_page(self) -> None:
        for _ in range(105):
            PaymentAccountFactory.create(merchant=self.bakery)
        assert [len(page) for page in self.walk("/accounts?limit=100")] == [100, 6]


class CursorTests(PageTestCase):
    def assert_bad(self, text: str) -> None:
        self.forget_counts()
        response = self.get(f"/accounts?cursor={text}", self.olga)
        self.assert_invalid(response, "cursor")

    def test_what_we_did_not_make_is_400(self) -> None:
        for text in ("x", "%FF", "é", "abc%0A", "null", "bnVsb", "%F0%9F%8D%9E"):
            self.assert_bad(text)

    def test_what_is_encoded_like_ours_but_holds_nonsense_is_400(self) -> None:
        for inner in ("o=x", "o=-1", "r=x", "p=nonsense", "p=1", "p=2026-02-03", "p=%00",
                      "p='; DROP TABLE merchants_paymentaccount; --", "p=acc_short",
                      f"p={ids.new_account_id().lower()}", "r=" + "9" * 5000,
                      "o=" + "9" * 5000):  # fmt: skip
            self.assert_bad(cursor(inner))

    def test_what_names_no_position_is_400_and_not_the_first_page_again(self) -> None:
        for text in ("%00", "====", "A" * 3000, cursor("foo=bar"), cursor("acc_"), cursor("p=")):
            self.assert_bad(text)

    def test_a_very_far_offset_is_no_fault(self) -> None:
        response = self.get(f"/accounts?cursor={cursor('o=99999999')}", self.olga)
        assert response.status_code in (200, 400)

    def test_an_unknown_query_is_no_fault(self) -> None:
        self.page("/accounts?page=2&format=html&limit=5&_method=DELETE")

    def test_a_bad_limit_is_told_before_anything_is_read(self) -> None:
        self.assert_invalid(self.get("/accounts?limit=0&cursor=x", self.olga), "limit")
