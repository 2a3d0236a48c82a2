// HTTP requests to the server that served this page.

import { readPeople, readSettings } from './settings.js';

/** How long one request may take, in milliseconds. */
const TIMEOUT_MS = 4000;

/** A request that failed: `kind` is network | http | format, `status` the HTTP status (0 without an answer). */
export class ApiError extends Error {
  constructor(kind, status, message) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

/** The page's settings. A demo server hands out the user that `prefer` names again, if it can. */
export function loadSettings(prefer) {
  const query = prefer ? `?${new URLSearchParams({ prefer })}` : '';
  return load(`/api/phone${query}`, readSettings);
}

/** Who is there to be called, and whether they are registered. */
export function loadPeople() {
  return load('/api/phone/people', readPeople);
}

/**
 * Asks the server by plain HTTP why its WebSocket does not open.
 *
 * Returns { online, health, sip, at }: whether the device has a network, the HTTP status of the health check and of a
 * plain GET to the SIP path. Status 0 means no answer at all.
 */
export async function probe(sipPath) {
  const [health, sip] = await Promise.all([status('/health/live'), status(sipPath)]);
  return { online: navigator.onLine !== false || health !== 0, health, sip, at: Date.now() };
}

async function load(address, read) {
  let response;
  try {
    response = await fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw new ApiError('network', 0, `${address}: ${error.message}`);
  }
  if (!response.ok) throw new ApiError('http', response.status, `${address}: HTTP ${response.status}`);
  try {
    return read(await response.json());
  } catch (error) {
    throw new ApiError('format', response.status, `${address}: ${error.message}`);
  }
}

async function status(address) {
  try {
    return (await fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) })).status;
  } catch {
    return 0;
  }
}
