// Why a call ended, in plain words. Pure.

/** What final responses to a call mean to the person who called (RFC 3261 section 21). */
const REFUSALS = {
  401: 'The server wants a password for this call. Sign in again.',
  402: 'The server wants payment for this call.',
  403: 'The server does not allow this call.',
  404: 'Nobody has this number.',
  407: 'The server wants a password for this call. Sign in again.',
  408: 'No answer in time.',
  410: 'This number does not exist any more.',
  415: 'The far side does not understand the kind of this call.',
  420: 'The far side lacks an extension that this call needs.',
  429: 'Too many calls in a short time. Wait a little.',
  480: 'Not reachable at the moment. Probably not registered.',
  482: 'The call went round in circles. Check the routes on the server.',
  483: 'The call took too many steps. Check the routes on the server.',
  484: 'The number is incomplete.',
  485: 'The number is ambiguous.',
  486: 'Busy.',
  487: 'The call was cancelled.',
  488: 'Both sides have no codec or encryption in common.',
  500: 'The server had an internal error. Its log says more.',
  501: 'The server does not support this kind of call.',
  502: 'A server behind this one gave a bad answer.',
  503: 'The server cannot take the call at the moment.',
  504: 'A server behind this one did not answer.',
  513: 'The call setup was too big for a server on the way.',
  600: 'Busy.',
  603: 'Declined.',
  604: 'Nobody has this number.',
  606: 'Both sides have no codec or encryption in common.',
};

/** What the causes that JsSIP makes up itself mean. */
const CAUSES = {
  'Connection Error': 'The connection to the server was lost.',
  'Request Timeout': 'The server did not answer.',
  'RTP Timeout': 'The media path failed. The ICE light has the details.',
  'WebRTC Error': 'The browser could not set up the media.',
  'Bad Media Description': 'The browser did not accept the media description of the far side.',
  'Incompatible SDP': 'Both sides have no codec or encryption in common.',
  'Missing SDP': 'The far side answered without a media description.',
  'Dialog Error': 'The far side lost track of the call.',
  'No ACK': 'The far side never confirmed the call.',
  'No Answer': 'Nobody answered.',
  'Internal Error': 'The page could not go on with the call.',
  Expires: 'The caller did not wait any longer.',
};

/**
 * A sentence for the end of a call and whether it is good news.
 *
 * `end`: { direction: incoming | outgoing, answered, by: local | remote | system, cause, code, reason, warning, note }
 * with `warning` and `note` the Warning and Reason header fields of the message that ended the call.
 * Returns { kind: ended | missed | failed, text }.
 */
export function describeEnd(end) {
  if (end.answered) {
    if (end.cause === 'Terminated') {
      return end.by === 'local' ? { kind: 'ended', text: 'You hung up.' } : hungUp(end.note);
    }
    return { kind: 'failed', text: CAUSES[end.cause] ?? `The call broke off: ${end.cause}.` };
  }
  if (end.direction === 'incoming') {
    if (end.by === 'local' && end.cause === 'Rejected') return { kind: 'ended', text: 'You declined.' };
    if (
      end.cause === 'Canceled' ||
      end.cause === 'Expires' ||
      end.cause === 'No Answer' ||
      end.cause === 'Terminated'
    ) {
      return { kind: 'missed', text: 'Missed call.' };
    }
    return { kind: 'failed', text: CAUSES[end.cause] ?? `The call failed: ${end.cause}.` };
  }
  if (end.by === 'local' && end.cause === 'Canceled') return { kind: 'ended', text: 'You hung up before an answer.' };
  if (end.code)
    return { kind: 'failed', text: `${refusal(end.code, end.reason)} (${end.code})${warning(end.warning)}` };
  return { kind: 'failed', text: CAUSES[end.cause] ?? `The call failed: ${end.cause}.` };
}

/** A BYE with a Reason (RFC 3326) of 300 or more is no ordinary hanging up: a server ended the call. */
function hungUp(note) {
  const code = Number(/cause\s*=\s*(\d+)/i.exec(note ?? '')?.[1] ?? 0);
  const text = /text\s*=\s*"([^"]+)"/i.exec(note ?? '')?.[1];
  if (!/^\s*SIP\b/i.test(note ?? '') || code < 300) return { kind: 'ended', text: 'The far side hung up.' };
  return { kind: 'failed', text: `The call was ended: ${text ?? `code ${code}`}.` };
}

function refusal(code, reason) {
  if (REFUSALS[code]) return REFUSALS[code];
  if (code < 400) return 'The far side has moved to another address.';
  return `The call was refused: ${reason || 'no reason given'}.`;
}

/** The text of a Warning header field (RFC 3261 section 20.43), which says why in the server's own words. */
function warning(value) {
  const text = /"([^"]*)"/.exec(value ?? '')?.[1];
  return text ? ` ${text[0].toUpperCase()}${text.slice(1)}.` : '';
}
