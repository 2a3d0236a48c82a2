// Our relay with DTLS-SRTP and WebRTC implementations that share no code with it or with each other, proven by tones both ways.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FLAGS, NgClient } from './lib/ng.mjs';
import { Openssl } from './lib/openssl.mjs';
import { PlainPhone } from './lib/plain-phone.mjs';
import { PythonPeer } from './lib/python-peer.mjs';
import { Relay } from './lib/viaduct.mjs';

/** What each party sends, in Hz. */
const TONE = { peer: 440, phone: 1000 };

describe('independent peers', () => {
  let relay;
  let ng;
  let phone;

  before(async () => {
    relay = await Relay.start(['--delete-delay=0']);
    ng = await NgClient.open(relay.ports.ng);
  });

  after(async () => {
    ng?.close();
    await relay?.stop();
  });

  /** Both hear each other and not themselves; then the call ends. */
  async function hearEachOther(call, peer) {
    await peer.hears(TONE.phone, [TONE.peer]);
    await phone.hears(TONE.peer, [TONE.phone]);
    await ng.delete(call);
    await relay.expectClean();
  }

  async function open(t, call) {
    phone = await PlainPhone.open(TONE.phone);
    t.after(async () => {
      phone.close();
      await ng.delete(call).catch(() => {});
    });
  }

  for (const script of ['aiortc_peer', 'gstreamer_peer']) {
    const start = (t, role) => {
      const peer = PythonPeer.start(script, role, TONE.peer, [TONE.phone]);
      t.after(() => peer.close());
      return peer;
    };

    test(`${script} calls a phone`, async (t) => {
      await open(t, script);
      const peer = start(t, 'offer');
      phone.talk(await ng.offer(script, await peer.describe(), FLAGS.browserToPhone));
      peer.read(await ng.answer(script, phone.sdp, FLAGS.phoneAnswersBrowser));
      await hearEachOther(script, peer);
    });

    test(`a phone calls ${script}`, async (t) => {
      await open(t, script);
      const peer = start(t, 'answer');
      peer.read(await ng.offer(script, phone.sdp, FLAGS.phoneToBrowser));
      phone.talk(await ng.answer(script, await peer.describe(), FLAGS.browserAnswersPhone));
      await hearEachOther(script, peer);
    });
  }

  // RFC 5764 section 4.2: both ends derive the same keys, whoever begins the handshake.
  for (const role of ['client', 'server']) {
    test(`openssl as ${role} of the handshake calls a phone`, async (t) => {
      await open(t, role);
      const peer = await Openssl.open(role, TONE.peer);
      t.after(() => peer.close());
      phone.talk(await ng.offer(role, peer.sdp, 'RTP/AVP rtcp-mux-demux'));
      const answer = await ng.answer(role, phone.sdp, 'UDP/TLS/RTP/SAVP rtcp-mux-accept');
      await peer.talk(answer);
      assert.ok(answer.includes(`a=fingerprint:sha-256 ${peer.shown}`), `${peer.shown} in ${answer}`);
      await hearEachOther(role, peer);
    });
  }
});
