// Light 5: audio both ways. Green needs packets in both directions and a far side that was actually heard.

import { row, seconds } from './verdict.js';

/** How long a direction may be without packets before that is a fault, in milliseconds. */
const QUIET_MS = 3000;
/** Loss reported by the far side from which nothing useful arrives there. */
const HOPELESS_LOSS = 0.9;
/** Bytes per second beyond which more than connection checks and reports arrives. */
const MEDIA_BYTES_PER_SECOND = 1500;

const audio = (facts) => facts.audio;
const at = (facts, now) => facts.audio.overAt ?? now;
const missing = (facts, now, last) => at(facts, now) - Math.max(last ?? 0, audio(facts).since) >= QUIET_MS;
const deaf = (facts, now) => missing(facts, now, audio(facts).receivedAt);
const dumb = (facts, now) => missing(facts, now, audio(facts).sentAt);
const flowing = (facts, now) =>
  !deaf(facts, now) && !dumb(facts, now) && audio(facts).receivedAt !== null && audio(facts).sentAt !== null;
const settled = (facts, now) => flowing(facts, now) && at(facts, now) - audio(facts).since >= QUIET_MS;
const packets = (facts) => `${audio(facts).received} packets received, ${audio(facts).sent} sent`;
const port = (facts) => (facts.environment.udpPort ? `UDP ${facts.environment.udpPort}` : 'the media port');
const inCall = (facts) => facts.call.phase !== 'idle';

export const audioTable = [
  row('audio-insecure', 'red', (facts) => !facts.environment.mediaDevices && !facts.environment.secure, {
    summary: 'microphone needs a secure page',
    seen: (facts) =>
      `This page was opened as http://${facts.environment.host}, and browsers give no microphone to such a page.`,
    means: 'Calls are not possible from here.',
    advice: (facts) =>
      facts.environment.httpsUrl
        ? 'Open the secure address of this page; accept its certificate once if the browser asks.'
        : 'Open this page through https, or as http://localhost on the machine of the server.',
    link: (facts) =>
      facts.environment.httpsUrl && { href: facts.environment.httpsUrl, text: facts.environment.httpsUrl },
  }),
  row('audio-unsupported', 'red', (facts) => !facts.environment.mediaDevices, {
    summary: 'browser gives no microphone',
    seen: 'This browser has no way to give a page the microphone (no mediaDevices).',
    means: 'It is too old, or a policy switched the microphone off.',
    advice: 'Use a current Chrome, Edge, Firefox or Safari, or allow the microphone by policy.',
  }),
  row('audio-mic-denied', 'red', (facts) => facts.microphone === 'denied', {
    summary: 'microphone refused',
    seen: 'The browser did not give this page the microphone.',
    means: 'Permission was refused, by you or by a setting of browser or system.',
    advice: 'Press the lock or microphone sign beside the address, allow the microphone, and call again.',
  }),
  row('audio-mic-missing', 'red', (facts) => facts.microphone === 'missing', {
    summary: 'no microphone found',
    seen: 'The browser found no microphone.',
    means: 'None is connected, or the system hides it from the browser.',
    advice: 'Connect a microphone or headset and call again.',
  }),
  row('audio-mic-busy', 'red', (facts) => ['busy', 'failed'].includes(facts.microphone), {
    summary: 'microphone does not start',
    seen: 'The browser knows a microphone but could not start it.',
    means: 'Another program uses it, or its driver failed.',
    advice: 'Close other programs that use the microphone, or connect it anew, and call again.',
  }),
  row('audio-idle', 'grey', (facts) => audio(facts) === null && !inCall(facts), {
    summary: 'no call',
    seen: 'There is no call.',
    means: 'Audio is measured during each call.',
  }),
  row('audio-held-here', 'amber', (facts) => inCall(facts) && facts.call.heldHere, {
    summary: 'on hold',
    seen: 'You put the call on hold.',
    means: 'No audio is expected until you press Resume.',
  }),
  row('audio-held-there', 'amber', (facts) => inCall(facts) && facts.call.heldThere, {
    summary: 'far side is holding',
    seen: 'The far side put the call on hold.',
    means: 'You may hear music or nothing until it comes back.',
  }),
  row('audio-waits', 'grey', (facts) => audio(facts) === null, {
    summary: 'waits for the media path',
    seen: 'The call has no media path yet.',
    means: 'Audio is measured as soon as there is one.',
    advice: 'Look at the ICE light.',
  }),
  row('audio-blocked', 'red', (facts) => facts.playback === 'blocked', {
    summary: 'browser does not play',
    seen: 'Audio arrives, but the browser does not let this page play it.',
    means: 'Browsers want a click or key press on the page before it may make sound.',
    advice: 'Click anywhere on the page.',
  }),
  row('audio-none', 'red', (facts, now) => deaf(facts, now) && dumb(facts, now), {
    summary: 'no audio in either direction',
    seen: (facts, now) =>
      `For ${seconds(lastHeard(facts), at(facts, now))} nothing arrived and nothing left (${packets(facts)}).`,
    means: 'Both sides think that they need not send, or the media path was lost.',
    advice: 'Look at the ICE light; if it is green, compare the two halves of the call on the server.',
  }),
  row(
    'audio-unreadable',
    'red',
    (facts, now) => deaf(facts, now) && audio(facts).bytesPerSecond >= MEDIA_BYTES_PER_SECOND,
    {
      summary: 'arriving audio is unreadable',
      seen: (facts) =>
        `About ${Math.round(audio(facts).bytesPerSecond)} bytes arrive each second, but no audio packet among them could be unpacked.`,
      means: 'The encryption keys of both sides differ, or the codec was never agreed on.',
      advice: 'Hang up and call again; if it stays, look for SRTP errors in the relay log.',
    },
  ),
  row('audio-deaf', 'red', deaf, {
    summary: 'we receive nothing',
    seen: (facts, now) =>
      `No audio packet has arrived for ${seconds(lastReceived(facts), at(facts, now))}, while ours leave (${packets(facts)}).`,
    means: 'The far side does not send, or its audio does not reach the gateway.',
    advice: 'Check the RTP ports between the phone and the gateway, and the address that the phone is told to send to.',
  }),
  row('audio-dumb', 'red', dumb, {
    summary: 'nothing leaves',
    seen: (facts, now) =>
      `The browser has sent no audio packet for ${seconds(lastSent(facts), at(facts, now))}, while others arrive (${packets(facts)}).`,
    means: 'The microphone stopped, or the far side asked for no audio.',
    advice: 'Check that the microphone is connected, then hang up and call again.',
  }),
  row('audio-lost', 'red', (facts, now) => settled(facts, now) && (audio(facts).farLoss ?? 0) >= HOPELESS_LOSS, {
    summary: 'our audio does not arrive',
    seen: (facts) => `The gateway reports that ${Math.round(audio(facts).farLoss * 100)} % of our packets are lost.`,
    means: 'The way from this browser to the gateway drops packets.',
    advice: (facts) => `Check the network and firewalls on the way; ${port(facts)} must be open in both directions.`,
  }),
  row('audio-both-ways', 'green', (facts, now) => flowing(facts, now) && audio(facts).farHeard, {
    summary: (facts) => (facts.call.muted ? 'yes, you are muted' : 'yes'),
    seen: (facts) => `Packets flow both ways (${packets(facts)}) and the far side was heard.`,
    means: 'You hear each other.',
  }),
  row(
    'audio-both-silent',
    'amber',
    (facts, now) => settled(facts, now) && audio(facts).ownMeasured && !audio(facts).ownHeard && !facts.call.muted,
    {
      summary: 'connected, both sides silent',
      seen: (facts) =>
        `Packets flow both ways (${packets(facts)}), but your microphone has given no sound, and none came back.`,
      means: 'The microphone is switched off or turned down, or the wrong one is used.',
      advice: 'Speak, and watch the bar “You”. If it does not move, choose another microphone under Sound.',
    },
  ),
  row('audio-far-silent', 'amber', flowing, {
    summary: 'connected, far side silent',
    seen: (facts) => `Packets flow both ways (${packets(facts)}), but no sound has come from the far side.`,
    means: 'The far side is quiet, muted, or sends silence.',
    advice: 'Ask the far side to speak. In an echo call, speak yourself.',
  }),
  row('audio-starting', 'amber', () => true, {
    summary: 'listening',
    seen: 'The media path is there; the page waits for the first packets.',
    means: 'This normally takes less than a second.',
  }),
];

function lastReceived(facts) {
  return audio(facts).receivedAt ?? audio(facts).since;
}

function lastSent(facts) {
  return audio(facts).sentAt ?? audio(facts).since;
}

function lastHeard(facts) {
  return Math.max(lastReceived(facts), lastSent(facts));
}
