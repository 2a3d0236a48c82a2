// When to stop collecting ICE candidates and send the offer or answer. Pure.

/** Longest wait for a good candidate after the first one of any kind, in milliseconds. */
export const GATHER_MS = 300;

/**
 * Whether the description may leave as soon as this candidate is known. The gateway answers checks from wherever
 * they come, so one host candidate for UDP is enough and every further wait only delays the call.
 */
export function sendsNow(candidate) {
  const [, , protocol, , , , , type] = candidate.candidate.split(' ');
  return protocol?.toLowerCase() === 'udp' && type === 'host';
}
