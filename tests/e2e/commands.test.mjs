// What NG commands do to a call that goes on, heard by Chromium and a desk phone behind Debian's Kamailio.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { Kamailio } from './lib/kamailio.mjs';
import { NgClient } from './lib/ng.mjs';
import { servePages } from './lib/pages.mjs';
import { until } from './lib/proc.mjs';
import { Relay } from './lib/viaduct.mjs';

/** What each party sends, and what is played, in Hz. */
const TONE = { page: 440, other: 1000, desk: 1500, clip: 600 };

/** A second of a tone as a WAV file: 8,000 samples of 16 bits. */
function wav(frequency) {
  const rate = 8000;
  const data = Buffer.alloc(2 * rate);
  for (let at = 0; at < rate; at++) data.writeInt16LE(Math.round(12000 * Math.sin((2 * Math.PI * frequency * at) / rate)), 2 * at);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  // The length of what follows; PCM, one channel; samples and octets a second, octets of a sample, bits of one.
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

/** A minute of it for whoever hears nobody else meanwhile. */
const CLIP = { blob64: wav(TONE.clip).toString('base64'), 'repeat-times': 60, flags: ['block-egress'] };

describe('commands about a call', () => {
  let folder;
  let pages;
  let browser;
  let relay;
  let kamailio;
  let desk;
  let ng;

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'viaduct-commands-'));
    const file = path.join(folder, 'relay.conf');
    writeFileSync(file, '[rtpengine]\ntemplates = templates\n[templates]\ndefault = generate-RTCP\n');
    pages = await servePages();
    browser = await launch('chromium');
    relay = await Relay.start(['--delete-delay=0', `--config-file=${file}`]);
    kamailio = await Kamailio.start({ ng: relay.ports.ng, flags: 'words' });
    desk = await Baresip.start({ user: '201', server: kamailio.sip, frequency: TONE.desk });
    ng = await NgClient.open(relay.ports.ng);
  });

  after(async () => {
    ng?.close();
    await desk?.stop();
    await kamailio?.stop();
    await relay?.stop();
    await browser?.close();
    await pages?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  function open(t, user, frequency) {
    return openPhone(t, browser, pages.url('jssip'), { gateway: kamailio, server: kamailio.ws, user, frequency });
  }

  /** A call from a browser to the desk phone, and how to ask the relay about either party. */
  async function call(t) {
    desk.forget();
    const page = await open(t, '300', TONE.page);
    await page.talkTo(desk, '201', kamailio.domain);
    const [id] = (await ng.ask('list', {})).calls;
    const { tags } = await ng.ask('query', { 'call-id': id });
    const tag = (protocol) => Object.keys(tags).find((tag) => tags[tag].medias[0].protocol === protocol);
    const about = (protocol) => (command, keys) => ng.ask(command, { 'call-id': id, 'from-tag': tag(protocol), ...keys });
    return { page, id, ofBrowser: about('UDP/TLS/RTP/SAVPF'), ofPhone: about('RTP/AVP') };
  }

  async function end(page) {
    await page.run('hangup');
    await desk.saw('CALL_CLOSED');
    await closePhones([page]);
    await relay.expectClean();
  }

  test('an announcement is heard by the browser, and then by the phone', async (t) => {
    const { page, ofBrowser, ofPhone } = await call(t);
    assert.equal((await ofBrowser('play media', CLIP)).duration, 1000);
    await page.hears(TONE.clip, [TONE.desk]);
    await desk.hears(TONE.page, [TONE.clip]);
    await ofBrowser('stop media');
    await page.hears(TONE.desk, [TONE.clip]);
    await ofPhone('play media', CLIP);
    await desk.hears(TONE.clip, [TONE.page]);
    await page.hears(TONE.desk, [TONE.clip]);
    await ofPhone('stop media');
    await desk.hears(TONE.page, [TONE.clip]);
    await end(page);
  });

  test('an announcement is heard by one of two browsers', async (t) => {
    const [page, other] = [await open(t, '300', TONE.page), await open(t, '301', TONE.other)];
    await page.call('301', kamailio.domain);
    await other.noted('incoming');
    await other.run('answer');
    await page.hears(TONE.other, [TONE.page]);
    await other.hears(TONE.page, [TONE.other]);
    const [id] = (await ng.ask('list', {})).calls;
    const { tags } = await ng.ask('query', { 'call-id': id });
    // One of them; the other one goes on hearing its peer.
    const ofOne = { 'call-id': id, 'from-tag': Object.keys(tags)[0] };
    await ng.ask('play media', { ...ofOne, ...CLIP });
    const hears = async (phone) => (await phone.run('hear', [TONE.clip]))[0] > 0.05;
    let hearer;
    await until('one hears the announcement', async () => {
      for (const phone of [page, other]) if (await hears(phone)) hearer = phone;
      return hearer;
    });
    const peer = hearer === page ? other : page;
    await hearer.hears(TONE.clip, [peer.frequency]);
    await peer.hears(hearer.frequency, [TONE.clip]);
    await ng.ask('stop media', ofOne);
    await hearer.hears(peer.frequency, [TONE.clip]);
    await page.run('hangup');
    await other.noted('ended:remote');
    await closePhones([page, other]);
    await relay.expectClean();
  });

  test("a key is pressed in the browser's name, and who is silenced is not heard", async (t) => {
    const { page, ofBrowser } = await call(t);
    await ofBrowser('play DTMF', { code: '5', duration: 200 });
    const pressed = await desk.saw('CALL_DTMF_START');
    assert.equal(pressed.param, '5');
    await desk.hears(TONE.page, [TONE.desk]);
    await ofBrowser('silence media', { flags: ['directional'] });
    await desk.hearsNone([TONE.page]);
    await page.hears(TONE.desk, [TONE.page]);
    await ofBrowser('unsilence media', { flags: ['directional'] });
    await desk.hears(TONE.page, [TONE.desk]);
    await end(page);
  });

  test('the browser is told by the relay what it hears and how it is heard', async (t) => {
    const { page, id } = await call(t);
    let told;
    const isWhole = async () => {
      told = (await page.run('summary')).told;
      return told.sent > 50 && told.lost === 0 && told.roundTrip >= 0;
    };
    await until(() => `the browser was told only ${JSON.stringify(told)}`, isWhole, 25);
    assert.ok(told.roundTrip < 1, `${told.roundTrip}`);
    let sources;
    const isScored = async () => {
      sources = Object.values((await ng.ask('query', { 'call-id': id })).SSRC);
      return sources.length === 2 && sources.every((source) => source['average MOS']?.MOS > 40);
    };
    await until(() => `not both are scored: ${JSON.stringify(sources)}`, isScored, 25);
    await end(page);
  });
});
