"""`create_merchant`."""

from django.test import override_settings

from authn.tests.commands import CommandTestCase
from fluxiq import ids
from merchants.models import Merchant


class CreateMerchantTests(CommandTestCase):
    def test_it_makes_a_merchant_and_answers_its_id(self) -> None:
        result = self.result("create_merchant", "Mercado", "--document", "12.345.678/0001-95")
        merchant = Merchant.objects.get(document="12345678000195")
        assert result == {"id": merchant.id}
        assert merchant.name == "Mercado"

    def test_a_person_reads_the_id_too(self) -> None:
        stdout, _ = self.run_command("create_merchant", "Mercado", "--document", "12345678000195")
        assert Merchant.objects.get(document="12345678000195").id in stdout

    def test_a_second_merchant_of_one_document_is_refused(self) -> None:
        self.run_command("create_merchant", "Mercado", "--document", "12345678000195")
        refusal = self.refusal("create_merchant", "Other", "--document", "12.345.678/0001-95")
        assert refusal == "A merchant with this document exists already"
        assert Merchant.objects.filter(document="12345678000195").count() == 1

    def test_what_is_no_document_is_refused(self) -> None:
        refusal = self.refusal("create_merchant", "Mercado", "--document", "123")
        assert refusal == "document: A CPF has 11 digits, a CNPJ 14 characters."

    @override_settings(VERIFY_DOCUMENT_CHECK_DIGITS=True)
    def test_wrong_check_digits_are_refused_where_they_are_verified(self) -> None:
        refusal = self.refusal("create_merchant", "Mercado", "--document", "12345678000196")
        assert refusal == "document: The check digits of this document are wrong."

    def test_a_name_longer_than_a_name_may_be_is_refused(self) -> None:
        refusal = self.refusal("create_merchant", "n" * 101, "--document", "12345678000195")
        assert refusal == "name: Ensure this field has no more than 100 characters."

    def test_a_new_merchant_has_an_identifier_of_its_kind(self) -> None:
        made = self.result("create_merchant", "Mercado", "--document", "12345678000195")
        assert ids.is_valid(ids.Prefix.MERCHANT, made["id"])
