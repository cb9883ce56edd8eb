"""Brazilian taxpayer documents: CPF (11 digits) and CNPJ (14 characters).

Since July 2026 the first twelve characters of a CNPJ may hold letters (Receita Federal,
Instrução Normativa 2.229/2024). No Django in it.
"""

import re

from stdnum.br import cnpj, cpf
from stdnum.exceptions import ValidationError

CPF_LENGTH = 11
CNPJ_LENGTH = 14

# As people write them: 123.456.789-01, 12.345.678/0001-95, or bare.
_CPF = re.compile(r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}")
_CNPJ = re.compile(r"[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?[0-9]{2}", re.IGNORECASE)
_PUNCTUATION = str.maketrans("", "", ".-/")


class InvalidDocument(ValueError):
    """The text is no CPF and no CNPJ."""


def normalise(text: str, *, verify_check_digits: bool = False) -> str:
    """The bare document, letters in upper case, of one written with or without punctuation.

    Raises InvalidDocument where it has not the shape of either, or, with
    `verify_check_digits`, where its check digits are wrong.
    """
    text = text.strip()
    if not text.isascii() or not (_CPF.fullmatch(text) or _CNPJ.fullmatch(text)):
        raise InvalidDocument("A CPF has 11 digits, a CNPJ 14 characters.")
    bare = text.translate(_PUNCTUATION).upper()
    if verify_check_digits:
        try:
            (cpf if len(bare) == CPF_LENGTH else cnpj).validate(bare)
        except ValidationError as error:
            raise InvalidDocument("The check digits of this document are wrong.") from error
    return bare


def mask(document: str) -> str:
    """What may be shown of a normalised document: `***.456.789-**`, `**.345.678/0001-**`."""
    if len(document) == CPF_LENGTH:
        return f"***.{document[3:6]}.{document[6:9]}-**"
    return f"**.{document[2:5]}.{document[5:8]}/{document[8:12]}-**"
