// Light 2: the WebSocket that carries SIP.
//
// A browser never tells a page why a WebSocket failed: it reports close code 1006 and nothing else. What plain HTTP
// requests to the same address see right afterwards (`socket.probe`) tells the cases apart.

import { PATIENCE_MS, row, seconds } from './verdict.js';

/** A dropped connection that has not come back after this long is shown as a fault, in milliseconds. */
const RECONNECT_MS = 8000;

const waiting = (facts) => facts.socket.phase !== 'open' && facts.socket.close !== null;
const neverOpened = (facts) => waiting(facts) && !facts.socket.close.wasOpen;
const dropped = (facts) => waiting(facts) && facts.socket.close.wasOpen;
const alive = (facts) => facts.socket.probe?.health === 200;
const probed = (facts, ...statuses) => alive(facts) && statuses.includes(facts.socket.probe.sip);
const closeCode = (facts, ...codes) => waiting(facts) && codes.includes(facts.socket.close.code);
const tried = (facts) => `The browser tried ${facts.socket.url}`;

const unreachable = (facts) => waiting(facts) && facts.socket.probe?.health === 0;
const brokenBackend = (facts) =>
  waiting(facts) &&
  [facts.socket.probe?.health, alive(facts) && facts.socket.probe.sip].some((status) =>
    [502, 503, 504].includes(status),
  );

export const websocketTable = [
  row('ws-open', 'green', (facts) => facts.socket.phase === 'open', {
    summary: 'connected',
    seen: (facts) => `A WebSocket to ${facts.socket.url} is open.`,
    means: 'SIP messages reach the server and come back.',
  }),
  row('ws-idle', 'grey', (facts) => facts.socket.phase === 'idle', {
    summary: 'not started',
    seen: 'The page has not opened a WebSocket yet.',
    means: 'It does so as soon as it knows who is calling.',
    advice: 'Sign in first.',
  }),
  row('ws-slow', 'amber', (facts, now) => !facts.socket.close && now - facts.socket.since >= PATIENCE_MS, {
    summary: 'no answer yet',
    seen: (facts, now) => `${tried(facts)}; there has been no answer for ${seconds(facts.socket.since, now)}.`,
    means: 'A firewall swallows the connection, or something between holds it back.',
    advice: 'Check firewalls and proxies between this device and the server.',
  }),
  row('ws-connecting', 'amber', (facts) => !facts.socket.close, {
    summary: 'connecting',
    seen: (facts) => `${tried(facts)} and waits for the answer.`,
    means: 'This normally takes less than a second.',
  }),
  row('ws-offline', 'red', (facts) => facts.socket.probe?.online === false, {
    summary: 'this device is offline',
    seen: 'The browser says that this device has no network connection.',
    means: 'No server can be reached at the moment.',
    advice: 'Connect to a network. The page reconnects by itself.',
  }),
  row(
    'ws-unreachable-tls',
    'red',
    (facts) => unreachable(facts) && facts.environment.secure && facts.socket.url.startsWith('wss:'),
    {
      summary: 'server not reachable',
      seen: (facts) => `${tried(facts)}, and neither that nor a plain HTTPS request got an answer.`,
      means: 'Nothing is listening there any more, or the certificate changed and the browser does not accept it.',
      advice:
        'Check that the server runs. Then open this page in a new tab and accept the certificate if the browser asks.',
    },
  ),
  row('ws-unreachable', 'red', unreachable, {
    summary: 'server not reachable',
    seen: (facts) => `${tried(facts)}, and neither that nor a plain HTTP request got an answer.`,
    means: 'Nothing is listening there any more, or the network between is down.',
    advice: 'Check that the server runs. The page reconnects by itself.',
  }),
  row('ws-backend', 'red', brokenBackend, {
    summary: 'the server behind the proxy is down',
    seen: (facts) => `A web server answered for ${facts.environment.host}, but with a gateway error (502, 503 or 504).`,
    means: 'A reverse proxy stands in front of the gateway and cannot reach it.',
    advice: 'Start the gateway, or correct its address in the reverse proxy.',
  }),
  row('ws-policy', 'red', (facts) => closeCode(facts, 1008), {
    summary: 'closed by the server: not allowed',
    seen: 'The server closed the WebSocket with code 1008.',
    means: 'A limit or a rule on the server does not allow this connection.',
    advice: 'The server log names the rule.',
  }),
  row('ws-busy', 'red', (facts) => closeCode(facts, 1013), {
    summary: 'server is busy',
    seen: 'The server closed the WebSocket with code 1013 (try again later).',
    means: 'The server has as many connections as it may have.',
    advice: 'Wait; the page tries again by itself.',
  }),
  row('ws-protocol', 'red', (facts) => closeCode(facts, 1002, 1003, 1007, 1009), {
    summary: 'closed after a bad message',
    seen: (facts) => `The WebSocket was closed with code ${facts.socket.close.code}.`,
    means: 'One side received a message that it does not accept.',
    advice: 'Reload the page. If it happens again, please report it with the server log.',
  }),
  row(
    'ws-restarting',
    'amber',
    (facts, now) => dropped(facts) && closeCode(facts, 1001, 1012) && now - facts.socket.close.at < RECONNECT_MS,
    {
      summary: 'server is restarting',
      seen: (facts) => `The server closed the WebSocket with code ${facts.socket.close.code} (going away).`,
      means: 'The server is being restarted.',
      advice: 'Wait; the page reconnects by itself.',
    },
  ),
  row('ws-dropped', 'amber', (facts, now) => dropped(facts) && now - facts.socket.close.at < RECONNECT_MS, {
    summary: 'connection lost, reconnecting',
    seen: 'The WebSocket was open and has been closed without a word.',
    means: 'The network changed, the device slept, or the server stopped.',
    advice: 'Wait; the page reconnects by itself. A running call keeps its audio.',
  }),
  row('ws-looking', 'amber', (facts) => facts.socket.probe === null, {
    summary: 'refused, looking for the reason',
    seen: (facts) => `${tried(facts)}, which failed. The page is asking the same address by plain HTTP.`,
    means: 'The answer tells what is wrong.',
  }),
  row('ws-not-gateway', 'red', (facts) => !alive(facts), {
    summary: 'not the gateway',
    seen: (facts) =>
      `${tried(facts)}. A web server answers there, but HTTP ${facts.socket.probe.health} to the health check.`,
    means: 'Another program or a reverse proxy answers at this address.',
    advice: 'Check that host and port are those of the gateway, and that a reverse proxy passes all paths.',
  }),
  row('ws-origin', 'red', (facts) => neverOpened(facts) && probed(facts, 401, 403), {
    summary: 'refused: this page is not allowed',
    seen: (facts) => `${tried(facts)}; the server runs but answers HTTP ${facts.socket.probe.sip} at that path.`,
    means: 'The server does not accept WebSockets from pages of this address (Origin).',
    advice: 'Open the page under the name that the server is configured for, or add this one to its allowed origins.',
  }),
  row('ws-path', 'red', (facts) => neverOpened(facts) && probed(facts, 404), {
    summary: 'no SIP at this path',
    seen: (facts) => `${tried(facts)}; the server runs but answers HTTP 404 at that path.`,
    means: 'SIP over WebSocket is switched off or has another path, or a reverse proxy does not pass it.',
    advice: 'Compare the path with the server settings and those of the reverse proxy.',
  }),
  row(
    'ws-certificate',
    'red',
    (facts) => neverOpened(facts) && facts.environment.appleBrowser && facts.socket.url.startsWith('wss:'),
    {
      summary: 'certificate not accepted',
      seen: (facts) => `${tried(facts)}; the server runs, but this browser closed the secure connection.`,
      means: 'Safari accepts a self-made certificate for the page, but not for its WebSockets.',
      advice:
        'Install the certificate as trusted on this device, or give the server a certificate from a public authority.',
    },
  ),
  row('ws-upgrade', 'red', (facts) => neverOpened(facts) && probed(facts, 400, 405, 426, 501), {
    summary: 'a proxy in between blocks WebSockets',
    seen: (facts) => `${tried(facts)}; the gateway answers at that path, but the connection never became a WebSocket.`,
    means: 'A reverse proxy, virus scanner or company proxy removes the Upgrade header.',
    advice: 'Let the reverse proxy pass "Upgrade" and "Connection", or try another network.',
  }),
  row('ws-refused', 'red', () => true, {
    summary: 'connection refused',
    seen: (facts) =>
      `${tried(facts)}, which failed (code ${facts.socket.close.code}), although the server answers plain HTTP.`,
    means: 'The server or something in between does not allow this WebSocket.',
    advice: 'The server log says why. The page tries again by itself.',
  }),
];
