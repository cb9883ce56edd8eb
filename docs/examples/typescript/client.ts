// The API, typed by its OpenAPI document: with a key, or for a signed-in person.
//   npm ci && npm run generate

import createClient, { type Client } from 'openapi-fetch';
import type { components, paths } from './fluxiq.js';

export type Api = Client<paths>;
export type Pair = components['schemas']['TokenPair'];

const PATIENCE_MS = 75_000; // a call with its waits: the window of a limit is a minute

// The API as a key sees it.
export function withKey(baseUrl: string, key: string): Api {
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` }, fetch: patiently });
}

// The API as a person sees it. `keep` is called with each new pair before it is used, and with null
// when the session is over; `pair` resumes a session that was kept.
export class Session {
  readonly api: Api;
  #anyone: Api;
  #pair: Pair | null;
  #keep: (pair: Pair | null) => void | Promise<void>;
  #refreshing: Promise<void> | null = null;

  constructor(baseUrl: string, keep: (pair: Pair | null) => void | Promise<void> = () => {}, pair: Pair | null = null) {
    this.#keep = keep;
    this.#pair = pair;
    this.#anyone = createClient<paths>({ baseUrl, fetch: patiently });
    this.api = createClient<paths>({ baseUrl, fetch: (request) => this.#send(request) });
  }

  // Resolves to the error where there is one: with the code MFA_REQUIRED, its challenge is for
  // POST /auth/login/mfa.
  async signIn(document: string, password: string) {
    const { data, error } = await this.#anyone.POST('/api/v1/auth/login', { body: { document, password } });
    if (data) await this.#replace(data.data);
    return error;
  }

  async #send(request: Request): Promise<Response> {
    const used = this.#pair;
    const response = await patiently(authorized(request, used));
    if (response.status !== 401 || used === null) return response;
    // Whoever comes first refreshes, and the others wait for it.
    if (this.#pair === used) {
      this.#refreshing ??= this.#refresh(used).finally(() => (this.#refreshing = null));
      await this.#refreshing;
    }
    return this.#pair === null ? response : patiently(authorized(request, this.#pair));
  }

  async #refresh(used: Pair): Promise<void> {
    const body = { refresh_token: used.refresh_token };
    const { data, response } = await this.#anyone.POST('/api/v1/auth/refresh', { body });
    if (data) await this.#replace(data.data);
    else if (response.status === 401) await this.#replace(null);
    else throw new Error(`the session could not be refreshed: status ${response.status}`);
  }

  async #replace(pair: Pair | null): Promise<void> {
    this.#pair = pair;
    await this.#keep(pair);
  }
}

function authorized(request: Request, pair: Pair | null): Request {
  const sent = request.clone(); // a body can be read once
  if (pair) sent.headers.set('Authorization', `Bearer ${pair.access_token}`);
  return sent;
}

// A 429 was not done: it is sent again when its time has come, unless that is too late.
async function patiently(request: Request): Promise<Response> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const response = await fetch(request.clone(), { redirect: 'error' });
    const wait = Number(response.headers.get('Retry-After') ?? NaN) * 1000;
    if (response.status !== 429 || !(Date.now() + wait <= deadline)) return response;
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
