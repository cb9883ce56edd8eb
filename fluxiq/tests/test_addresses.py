"""Client addresses: whom to believe, and what counts as one client."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxiq.addresses import (
    UNKNOWN,
    client_address,
    counting_identity,
    is_within,
    parse_address,
    parse_networks,
)

PROXIES = parse_networks(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])
PROXY, CLIENT, STRANGER = "10.0.0.1", "203.0.113.9", "198.51.100.66"

ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(str)


class TestParseNetworks:
    def test_cidrs_and_single_addresses_of_both_families(self) -> None:
        assert [str(n) for n in PROXIES] == ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]

    def test_spaces_and_empty_entries_are_nothing(self) -> None:
        assert [str(n) for n in parse_networks([" 10.0.0.0/8 ", "", " "])] == ["10.0.0.0/8"]

    @pytest.mark.parametrize("bad", ["10.0.0.0/33", "nonsense", "10.0.0.1/8", "1.2.3", "::/129"])
    def test_a_malformed_one_is_named(self, bad: str) -> None:
        with pytest.raises(ValueError, match=bad.split("/", maxsplit=1)[0]):
            parse_networks(["10.0.0.0/8", bad])


class TestParseAddress:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:52100", "203.0.113.9"),
            (" 203.0.113.9\t", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:52100", "2001:db8::1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("::FFFF:cb00:7109", "203.0.113.9"),
            ("[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ],
    )
    def test_what_proxies_write_is_read(self, text: str, address: str) -> None:
        assert str(parse_address(text)) == address

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "unknown",
            "_hidden",
            "203.0.113",
            "203.0.113.256",
            "0203.0.113.9",
            "203.0.113.9/32",
            "3405803785",
            "0xcb007109",
            "٢٠٣.0.113.9",
            "203.0.113.9\x00",
            "fe80::1%eth0",
            "[fe80::1%25eth0]:80",
            "2001:db8::1::",
            "[]",
            "[",
            "]",
            "::ffff:203.0.113.256",
            "for=203.0.113.9",
            "localhost",
        ],
    )
    def test_what_is_no_address_is_none(self, text: str) -> None:
        assert parse_address(text) is None

    @given(st.text())
    def test_no_text_is_a_fault(self, text: str) -> None:
        assert isinstance(parse_address(text), IPv4Address | IPv6Address | None)

    @given(st.one_of(ipv4, ipv6), st.integers(0, 65535))
    def test_a_port_changes_nothing(self, address: str, port: int) -> None:
        written = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        assert parse_address(written) == parse_address(address)

    @given(st.ip_addresses(v=4))
    def test_a_mapped_address_is_its_ipv4(self, address: IPv4Address) -> None:
        assert parse_address(f"::ffff:{address}") == address


class TestIsWithin:
    def test_families_do_not_mix(self) -> None:
        networks = parse_networks(["0.0.0.0/0"])
        assert is_within(parse_address("1.2.3.4"), networks)
        assert is_within(parse_address("::ffff:1.2.3.4"), networks)
        assert not is_within(parse_address("2001:db8::1"), networks)

    def test_an_unknown_address_is_in_no_network(self) -> None:
        assert not is_within(None, parse_networks(["0.0.0.0/0", "::/0"]))

    def test_nothing_is_in_no_network(self) -> None:
        assert not is_within(parse_address("1.2.3.4"), ())


class TestClientAddress:
    def test_without_proxies_it_is_the_peer(self) -> None:
        assert client_address(CLIENT, "", ()) == CLIENT

    @pytest.mark.parametrize("forwarded", ["127.0.0.1", "10.0.0.1", "::1", f"{STRANGER}, {PROXY}"])
    def test_an_untrusted_peer_is_not_believed(self, forwarded: str) -> None:
        assert client_address(CLIENT, forwarded, PROXIES) == CLIENT
        assert client_address(CLIENT, forwarded, ()) == CLIENT

    def test_a_trusted_peer_names_the_client(self) -> None:
        assert client_address(PROXY, CLIENT, PROXIES) == CLIENT
        assert client_address("192.0.2.7", CLIENT, PROXIES) == CLIENT
        assert client_address("fd00::7", CLIENT, PROXIES) == CLIENT

    def test_what_the_client_wrote_left_of_itself_is_not_believed(self) -> None:
        assert client_address(PROXY, f"1.1.1.1, {CLIENT}", PROXIES) == CLIENT
        assert client_address(PROXY, f"127.0.0.1, 10.9.9.9, {CLIENT}", PROXIES) == CLIENT

    def test_a_chain_is_read_from_the_right_over_trusted_hops(self) -> None:
        forwarded = f"{STRANGER}, {CLIENT}, 10.0.0.3, fd00::2"
        assert client_address(PROXY, forwarded, PROXIES) == CLIENT

    def test_of_trusted_hops_alone_the_farthest_is_the_client(self) -> None:
        assert client_address(PROXY, "10.0.0.9, 10.0.0.3", PROXIES) == "10.0.0.9"

    def test_a_trusted_peer_without_the_header_is_the_client_itself(self) -> None:
        assert client_address(PROXY, "", PROXIES) == PROXY

    def test_a_mapped_peer_is_trusted_as_its_ipv4(self) -> None:
        assert client_address("::ffff:10.0.0.1", CLIENT, PROXIES) == CLIENT

    def test_a_mapped_hop_is_its_ipv4(self) -> None:
        assert client_address(PROXY, f"{CLIENT}, ::ffff:10.0.0.3", PROXIES) == CLIENT
        assert client_address(PROXY, "::ffff:203.0.113.9", PROXIES) == CLIENT

    @pytest.mark.parametrize("hop", [f"{CLIENT}:4711", f"[{CLIENT}]", "[::ffff:203.0.113.9]:1"])
    def test_ports_and_brackets_are_read_over(self, hop: str) -> None:
        assert client_address(PROXY, hop, PROXIES) == CLIENT

    @pytest.mark.parametrize("hop", ["", "unknown", "999.1.1.1", "fe80::1%eth0", "\x00", "évil"])
    def test_a_malformed_hop_ends_the_reading_at_the_last_good_one(self, hop: str) -> None:
        assert client_address(PROXY, f"{STRANGER}, {hop}, 10.0.0.3", PROXIES) == "10.0.0.3"
        assert client_address(PROXY, f"{STRANGER}, {hop}", PROXIES) == PROXY

    @pytest.mark.parametrize("peer", ["", "unknown", "/run/sock", "@"])
    def test_a_peer_without_an_address_is_unknown_and_not_believed(self, peer: str) -> None:
        assert client_address(peer, CLIENT, PROXIES) == UNKNOWN
        assert client_address(peer, CLIENT, parse_networks(["0.0.0.0/0", "::/0"])) == UNKNOWN

    @given(st.text(), st.text())
    def test_no_text_is_a_fault(self, peer: str, forwarded: str) -> None:
        assert client_address(peer, forwarded, PROXIES)

    @given(st.text(alphabet="0123456789abcdef.:[]%, \t", max_size=60))
    def test_nothing_from_a_trusted_peer_is_a_fault(self, forwarded: str) -> None:
        found = client_address(PROXY, forwarded, PROXIES)
        assert parse_address(found) is not None
        assert len(found) <= 45

    @given(st.text(), ipv4)
    def test_nothing_a_client_sends_changes_what_its_proxy_saw(self, sent: str, seen: str) -> None:
        expected = client_address(PROXY, seen, PROXIES)
        if not is_within(parse_address(seen), PROXIES):
            assert client_address(PROXY, f"{sent},{seen}", PROXIES) == expected == seen


class TestCountingIdentity:
    def test_an_ipv4_address_counts_alone(self) -> None:
        assert counting_identity("203.0.113.9") == "203.0.113.9"
        assert counting_identity("203.0.113.9") != counting_identity("203.0.113.10")

    def test_ipv6_counts_per_64(self) -> None:
        assert counting_identity("2001:db8:1:2::1") == counting_identity("2001:db8:1:2:ffff::9")
        assert counting_identity("2001:db8:1:2::1") == "2001:db8:1:2::/64"
        assert counting_identity("2001:db8:1:2::1") != counting_identity("2001:db8:1:3::1")

    def test_mapped_addresses_do_not_share_one_bucket(self) -> None:
        assert counting_identity("::ffff:203.0.113.9") == "203.0.113.9"
        assert counting_identity("::ffff:203.0.113.9") != counting_identity("::ffff:203.0.113.10")

    @given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
    def test_all_of_one_64_count_as_one_and_none_of_the_next(
        self, network: int, one: int, other: int
    ) -> None:
        def identity(upper: int, lower: int) -> str:
            return counting_identity(str(IPv6Address(upper << 64 | lower)))

        assert identity(network, one) == identity(network, other)
        assert identity(network, one) != identity(network ^ 1, other)

    @given(st.text())
    def test_no_text_is_a_fault(self, text: str) -> None:
        assert counting_identity(text)

    def test_what_is_no_address_counts_as_unknown(self) -> None:
        assert counting_identity("unknown") == counting_identity("garbage") == UNKNOWN
