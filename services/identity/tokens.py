"""Signed tokens: Ed25519 JWTs and the JWKS that verifies them.

EdDSA signatures are deterministic (those of ES256 are not), and the key can be derived from a seed, so all nodes of
the testbed sign with the same key without sharing a secret file.
"""

import hashlib
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

ALGORITHM = "EdDSA"


def signing_key(seed: str) -> Ed25519PrivateKey:
    """The Ed25519 key derived from `seed`."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


class Issuer:
    """Signs tokens and publishes the public key."""

    def __init__(self, key_seed: str, issuer: str) -> None:
        self._key = signing_key(key_seed)
        self._issuer = issuer
        public = OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._public = {**public, "use": "sig", "alg": ALGORITHM, "kid": _key_id(str(public["x"]))}
        self._header = {"kid": self._public["kid"]}

    def issue(self, identity: dict[str, str], audience: str, now_epoch_s: float, lifetime_s: float, jti: str) -> str:
        """A compact JWS for `identity` (`principalId`, `clientId`, `tenantId`, `id`)."""
        issued = int(now_epoch_s)
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"{self._issuer}{identity['tenantId']}/",
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(lifetime_s),
            "appid": identity["clientId"],
            "oid": identity["principalId"],
            "sub": identity["principalId"],
            "tid": identity["tenantId"],
            "xms_mirid": identity["id"],
            "uti": jti,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers=self._header)

    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517), public keys only."""
        return {"keys": [self._public]}


def _key_id(public: str) -> str:
    return hashlib.sha256(public.encode()).hexdigest()[:16]
