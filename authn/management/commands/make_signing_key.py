"""Make a signing key for JWT_SIGNING_KEYS."""

import base64
import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from authn import signing_keys
from fluxiq import commands, rings

ALGORITHMS = ("HS256", "ES256", "EdDSA", "RS256")
RSA_BITS = 3072  # as strong as the curves beside it (NIST SP 800-57, part 1, table 2)


def _material(algorithm: str) -> str:
    """What follows the kid in the entry of a fresh key."""
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    match algorithm:
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        case "RS256":
            private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        case _:
            return secrets.token_urlsafe(48)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return f"{algorithm}:{base64.b64encode(pem).decode()}"


def _kids_of(entry: str) -> list[str]:
    """The kids that the ring would read there; none where it would refuse it."""
    try:
        ring = signing_keys.parse_ring(entry, forbidden_secret=settings.SECRET_KEY)
    except signing_keys.InvalidSigningKeys:
        return []
    return [key.kid for key in ring]


class Command(commands.Command):
    """`make_signing_key [--algorithm HS256|ES256|EdDSA|RS256] [--kid K]`."""

    help = "Print a new entry for JWT_SIGNING_KEYS. Nothing is stored."
    requires_system_checks: list[str] = []  # it mends what the checks complain of

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--algorithm", choices=ALGORITHMS, default="HS256")
        parser.add_argument(
            "--kid",
            metavar="K",
            help="Its name; today's date and 6 random characters unless given.",
        )

    def perform(self, algorithm: str, kid: str | None, **options: Any) -> dict[str, Any]:
        if kid is None:
            kid = rings.new_id(timezone.now().date())
        entry = f"{kid}:{_material(algorithm)}"
        if _kids_of(entry) != [kid]:
            raise CommandError(f"{kid!r} is no kid: it has 1 to 64 of A-Z a-z 0-9 _ . -")
        return {"kid": kid, "algorithm": algorithm, "entry": entry}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["entry"])
        self.note(
            "Put it last in JWT_SIGNING_KEYS on every server; once all know it, first: the first"
            " signs. Keep the older ones until what they signed has expired."
        )
