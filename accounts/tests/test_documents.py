"""CPF and CNPJ: read however they are punctuated, shown masked, checked where that is asked."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.documents import InvalidDocument, mask, normalise

ALPHANUMERIC = string.digits + string.ascii_uppercase
cpfs = st.text(string.digits, min_size=11, max_size=11)
cnpjs = st.builds(
    str.__add__,
    st.text(ALPHANUMERIC, min_size=12, max_size=12),
    st.text(string.digits, min_size=2, max_size=2),
)
documents = st.one_of(cpfs, cnpjs)


def punctuated(document: str) -> str:
    """The document as forms print it."""
    d = document
    if len(d) == 11:
        return f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}"
    return f"{d[:2]}.{d[2:5]}.{d[5:8]}/{d[8:12]}-{d[12:]}"


class TestNormalise:
    def test_the_documented_document(self) -> None:
        assert normalise("123.456.789-01") == normalise("12345678901") == "12345678901"

    def test_a_cnpj_of_digits(self) -> None:
        assert normalise("12.345.678/0001-95") == "12345678000195"

    def test_a_cnpj_with_letters(self) -> None:
        assert normalise("12.ABC.345/01DE-35") == "12ABC34501DE35"
        assert normalise("12abc34501de35") == "12ABC34501DE35"

    @given(documents)
    def test_punctuation_makes_no_difference(self, document: str) -> None:
        assert normalise(punctuated(document)) == normalise(document) == document

    @given(documents)
    def test_it_is_idempotent(self, document: str) -> None:
        once = normalise(punctuated(document))
        assert normalise(once) == once

    @given(documents)
    def test_letters_come_out_in_upper_case(self, document: str) -> None:
        assert normalise(document.lower()) == document
        assert normalise(punctuated(document).lower()) == document

    @given(documents)
    def test_spaces_around_it_are_nothing(self, document: str) -> None:
        assert normalise(f"  {document}\t") == document

    @given(st.text(string.digits, min_size=9, max_size=9))
    def test_leading_zeros_stay(self, rest: str) -> None:
        assert normalise(f"00{rest}") == f"00{rest}"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "1",
            "1234567890",
            "123456789012",
            "1234567890123",
            "123456789012345",
            "1234567890A",  # a CPF has no letters
            "12ABC34501DE3A",  # check digits have none
            "12ABC34501DE3",
            "123 456 789 01",
            "123.456.78901-",
            "12.3456.789-01",
            "..123456789-01",
            "123..456.789-01",
            "123.456.789--01",
            "123,456,789-01",
            "-12345678901",
            "+12345678901",
            "12345678901.0",
            "0x123456789",
            "1e10000000",
            "12.345.678/0001/95",
            "12345678901\n12345678901",
            "123\n456.789-01",
            "null",
            "ABCDEFGHIJKLMN",
        ],
    )
    def test_what_has_not_the_shape_of_either_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidDocument) as refused:
            normalise(text)
        assert str(refused.value) == "A CPF has 11 digits, a CNPJ 14 characters."

    @pytest.mark.parametrize(
        "text",
        [
            "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10\uff11",  # full-width
            "١٢٣٤٥٦٧٨٩٠١",  # Arabic-Indic
            "1234567890²",
            "1234567890①",
            "१२३४५६७८९०१",  # Devanagari
            "12\u0410\u0412\u042134501DE35",  # Cyrillic look-alikes
            "12\u017fBC34501DE35",  # folds to an S
            "12\u212aBC34501DE35",  # folds to a K
            "12\u0131BC34501DE35",  # folds to an I
            "123.456.789\u201001",  # a typographic hyphen
            "123\u00a0456\u00a0789-01",
        ],
    )
    def test_digits_and_letters_that_are_not_ascii_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidDocument):
            normalise(text)

    @pytest.mark.parametrize(
        "text",
        ["\x0012345678901", "12345678901\x00", "123456\x0078901", "\ud80012345678901", "\x00" * 11],
    )
    def test_nul_and_surrogates_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidDocument):
            normalise(text)

    @given(st.text())
    def test_any_text_is_a_document_or_refused(self, text: str) -> None:
        for verify in (False, True):
            try:
                found = normalise(text, verify_check_digits=verify)
            except InvalidDocument:
                continue
            assert len(found) in (11, 14)
            assert set(found) <= set(ALPHANUMERIC)

    @given(st.text(alphabet=string.digits + "ABab.-/ \n\x00٣", max_size=20))
    def test_any_text_like_a_document_is_one_or_refused(self, text: str) -> None:
        try:
            found = normalise(text)
        except InvalidDocument:
            return
        assert normalise(found) == found
        assert found == "".join(c for c in text.upper() if c in ALPHANUMERIC)

    def test_the_fault_names_no_document(self) -> None:
        with pytest.raises(InvalidDocument) as caught:
            normalise("987654321")
        assert "987" not in str(caught.value)


class TestCheckDigits:
    GOOD = ("529.982.247-25", "111.444.777-35", "12345678909", "11.222.333/0001-81",
            "12.345.678/0001-95", "00.000.000/0001-91", "12.ABC.345/01DE-35",
            "12abc34501de35")  # fmt: skip
    WRONG = ("529.982.247-26", "12345678901", "11.222.333/0001-82", "12.ABC.345/01DE-36",
             "12.ABD.345/01DE-35", "12345678000190", "00000000000")  # fmt: skip

    @pytest.mark.parametrize("document", GOOD)
    def test_right_ones_are_taken(self, document: str) -> None:
        assert normalise(document, verify_check_digits=True) == normalise(document)

    @pytest.mark.parametrize("document", WRONG)
    def test_wrong_ones_are_refused_only_where_that_is_asked(self, document: str) -> None:
        assert normalise(document)
        with pytest.raises(InvalidDocument) as refused:
            normalise(document, verify_check_digits=True)
        assert str(refused.value) == "The check digits of this document are wrong."

    @given(documents)
    def test_of_all_endings_at_most_one_is_right(self, document: str) -> None:
        def is_right(text: str) -> bool:
            try:
                return bool(normalise(text, verify_check_digits=True))
            except InvalidDocument:
                return False

        assert sum(is_right(f"{document[:-2]}{end:02d}") for end in range(100)) <= 1


class TestMask:
    def test_a_cpf_shows_its_middle(self) -> None:
        assert mask("12345678901") == "***.456.789-**"

    def test_a_cnpj_shows_its_middle(self) -> None:
        assert mask("12345678000195") == "**.345.678/0001-**"
        assert mask("12ABC34501DE35") == "**.ABC.345/01DE-**"

    @given(cpfs)
    def test_a_cpf_never_shows_its_first_three_nor_its_check_digits(self, document: str) -> None:
        shown = "".join(c for c in mask(document) if c.isalnum())
        assert shown == document[3:9]

    @given(cnpjs)
    def test_a_cnpj_never_shows_its_first_two_nor_its_check_digits(self, document: str) -> None:
        shown = "".join(c for c in mask(document) if c.isalnum())
        assert shown == document[2:12]

    @given(documents)
    def test_it_stands_where_the_punctuated_document_does(self, document: str) -> None:
        whole = punctuated(document)
        assert len(mask(document)) == len(whole)
        assert all(m in ("*", w) for m, w in zip(mask(document), whole, strict=True))

    @given(documents, documents)
    def test_what_is_hidden_makes_no_difference(self, one: str, other: str) -> None:
        if len(one) == len(other) == 11:
            assert mask(one[:3] + other[3:9] + one[9:]) == mask(other)
        elif len(one) == len(other):
            assert mask(one[:2] + other[2:12] + one[12:]) == mask(other)
