// Asking FluxiQ whether a call may pass. Node 20 or newer; no dependency.

const LIMITS = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'ratelimit-policy', 'ratelimit'];
const PASSED_ON = ['content-type', 'cache-control', 'www-authenticate', 'retry-after', 'x-request-id', ...LIMITS];
const CODES = { 400: 'VALIDATION_ERROR', 401: 'UNAUTHORIZED', 403: 'FORBIDDEN', 429: 'RATE_LIMITED' };

// Express middleware: the caller must hold all of these permissions. `request.fluxiq` is then who
// calls; whoever is refused gets the documented error; where FluxiQ does not answer, 503.
export function requirePermissions(baseUrl, ...permissions) {
  const url = new URL('/api/v1/auth/verify', baseUrl);
  for (const permission of permissions) url.searchParams.append('permission', permission);

  return async (request, response, next) => {
    // FluxiQ believes this address where its TRUSTED_PROXIES names this service.
    const hops = [request.headers['x-forwarded-for'], request.socket.remoteAddress];
    const headers = { 'x-forwarded-for': hops.filter(Boolean).join(', ') };
    for (const name of ['authorization', 'x-request-id']) {
      if (request.headers[name] !== undefined) headers[name] = request.headers[name];
    }
    let answer, body;
    try {
      // A redirect would take the credential elsewhere.
      answer = await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.timeout(2000) });
      body = Buffer.from(await answer.arrayBuffer());
      check(answer, JSON.parse(body), permissions);
    } catch (error) {
      console.error('no answer of FluxiQ: %s', error.message);
      response.set({ 'Retry-After': '1', 'Cache-Control': 'no-store' }).status(503);
      response.json({ error: { code: 'SERVICE_UNAVAILABLE', message: 'The service is temporarily unavailable' } });
      return;
    }
    for (const name of answer.ok ? LIMITS : PASSED_ON) {
      if (answer.headers.has(name)) response.setHeader(name, answer.headers.get(name));
    }
    if (!answer.ok) {
      response.status(answer.status).end(body);
      return;
    }
    request.fluxiq = {
      kind: answer.headers.get('x-auth-kind'),
      subject: answer.headers.get('x-auth-subject'),
      merchants: answer.headers.get('x-auth-merchants').split(',').filter(Boolean), // '*': all
    };
    next();
  };
}

// Throws unless this is an answer of the documented form: another server's 200 is no grant.
function check(answer, envelope, permissions) {
  if (answer.status !== 200) {
    if (!CODES[answer.status] || envelope?.error?.code !== CODES[answer.status]) {
      throw new Error(`status ${answer.status}`);
    }
    return;
  }
  const held = (answer.headers.get('x-auth-permissions') ?? '').split(' ');
  const named = answer.headers.get('x-auth-subject') && answer.headers.has('x-auth-merchants');
  if (!named || !permissions.every((permission) => held.includes(permission))) {
    throw new Error('a 200 that does not answer what was asked');
  }
}
