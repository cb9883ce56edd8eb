// Verifying an access token by the published keys, without asking (docs/services.md says what that
// cannot tell). Reads tokens from standard input, a line each, and writes what each says.
//   FLUXIQ_AUTH_URL=http://127.0.0.1:8000 node verify-token.js

import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', process.env.FLUXIQ_AUTH_URL));

for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: ['ES256', 'EdDSA', 'RS256'],
      audience: 'fluxiq',
      clockTolerance: 5,
      issuer: 'fluxiq',
      requiredClaims: ['sub', 'sid', 'jti', 'iat', 'exp'],
      typ: 'at+jwt',
    });
    console.log(JSON.stringify({ algorithm: protectedHeader.alg, claims: payload }));
  } catch (error) {
    console.log(JSON.stringify({ refused: error.code }));
  }
}
