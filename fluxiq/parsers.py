"""Reading JSON bodies so that nothing a client sends ends in a 500 or is silently dropped."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ParseError("JSON parse error - a member name stands twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ParseError(f"JSON parse error - {name} is not JSON")


class StrictJSONParser(JSONParser):
    """UTF-8 JSON alone. Raises ParseError for what is malformed, ambiguous or nested too deep."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return json.loads(
                stream.read().decode("utf-8"),
                object_pairs_hook=_unique_members,
                parse_constant=_refuse_constant,
            )
        except json.JSONDecodeError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        except UnicodeDecodeError as error:
            raise ParseError("JSON parse error - the body is not UTF-8") from error
        except ValueError as error:  # Python reads no number of over 4300 digits
            raise ParseError("JSON parse error - a number is too long") from error
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deep") from error
