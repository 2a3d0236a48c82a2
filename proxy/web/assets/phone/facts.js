// What the page has observed. Every decision on the page is made from these plain values and from nothing else,
// so each decision can be tested without a browser. Times are milliseconds of one clock (`Date.now()`).

/**
 * The facts of a page that has seen nothing yet.
 *
 * `page.phase`          loading | ready | failed; `page.error` is { kind: network | http | format, status }
 * `environment`         what the browser and the address allow; `httpsUrl` is where a secure copy of the page is
 * `socket.phase`        idle | connecting | open | closed; `socket.close` is how the last connection ended, null while open:
 *                       { code, wasOpen, at }; `socket.probe` is what plain HTTP said since: see api.js
 * `registration.phase`  idle | trying | registered | failed; `failure` is { code, cause, reason, algorithms, retryAt }
 * `call.phase`          idle | calling | ringing | incoming | answering | active
 * `microphone`          unknown | granted | denied | missing | busy | failed
 * `playback`            ok | blocked
 * `ice`                 the transport of the present call, or of the last one if it failed; null before any call
 * `audio`               the audio of the present call (see stats.js), null outside one
 */
export function initialFacts(now) {
  return {
    page: { phase: 'loading', since: now, error: null },
    environment: {
      secure: true,
      mediaDevices: true,
      webrtc: true,
      host: '',
      httpsUrl: null,
      udpPort: null,
      appleBrowser: false,
    },
    socket: { phase: 'idle', since: now, url: '', close: null, probe: null },
    registration: { phase: 'idle', since: now, user: null, failure: null },
    call: { phase: 'idle', since: now, heldHere: false, heldThere: false, muted: false },
    microphone: 'unknown',
    playback: 'ok',
    ice: null,
    audio: null,
  };
}

/** The transport of a call that starts now. */
export function initialIce(now) {
  return {
    phase: 'new', // RTCPeerConnection.iceConnectionState
    transport: 'new', // RTCPeerConnection.connectionState: includes the DTLS handshake
    since: now,
    worked: false, // the path has been connected once
    answered: false, // the far side's description has been applied
    localCandidates: 0,
    remoteCandidates: 0,
    checksSent: 0,
    checksAnswered: 0,
    pair: null, // 'host udp → 192.0.2.1:3480' once chosen
    roundTripMs: null,
    overAt: null, // when the call ended, if it ended because of the transport
  };
}
