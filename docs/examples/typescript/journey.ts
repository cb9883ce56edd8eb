// From a sign-in to a key that is used until its limit: what an integration does first.
//   npm run build && node build/journey.js http://127.0.0.1:8000

import createClient from 'openapi-fetch';
import { type Pair, Session, withKey } from './client.js';
import type { paths } from './fluxiq.js';

declare const process: { argv: string[] };
const baseUrl = process.argv[2] ?? 'http://127.0.0.1:8000';

let kept: Pair | null = null;
let pairs = 0;
const keep = (pair: Pair | null) => { kept = pair; pairs += pair ? 1 : 0; };
const session = new Session(baseUrl, keep);
const refused = await session.signIn('12345678901', 'not the password');
const failed = await session.signIn('12345678901', 'your-password');
if (failed || kept === null) throw new Error(failed?.error.message);
const first: Pair = kept;

// As after a quarter of an hour: the access token has ended, and many calls find out at once.
const later = new Session(baseUrl, keep, { ...first, access_token: 'ended' });
const asked = await Promise.all([1, 2, 3, 4].map(() => later.api.GET('/api/v1/auth/me')));
const memberships = asked.map(({ data }) => data?.data.memberships[0]?.merchant_id);
const merchant_id = memberships[0];
if (merchant_id === undefined) throw new Error('no membership');

const issued = await later.api.POST('/api/v1/merchants/{merchant_id}/api-keys', {
  params: { path: { merchant_id } },
  body: { name: 'From TypeScript', permissions: ['accounts:read'] },
});
if (!issued.data) throw new Error(issued.error.error.message);
const key = issued.data.data.key;

// Refused at the limit, and admitted when it has been waited for.
const hasty = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
let limited = await hasty.GET('/api/v1/accounts');
for (let call = 0; call < 20 && limited.response.status !== 429; call++) limited = await hasty.GET('/api/v1/accounts');
const accounts = await withKey(baseUrl, key).GET('/api/v1/accounts', { params: { query: { limit: 10 } } });
const forbidden = await withKey(baseUrl, key).POST('/api/v1/accounts', { body: { name: 'Mine' } });

const left = await later.api.POST('/api/v1/auth/logout');
const after = await later.api.GET('/api/v1/auth/me');

console.log(JSON.stringify({
  refused,
  memberships,
  pairs,
  issued: issued.data.data.hint,
  limited: { status: limited.response.status, header: limited.response.headers.get('Retry-After'), error: limited.error },
  accounts: accounts.data?.data.map(({ name, balance }) => [name, balance]),
  forbidden: forbidden.error,
  left: left.response.status,
  after: after.error,
}));
