// What happens in calls besides talking: new offers, restarts of ICE, video, IPv6, peers that vanish.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { servePages } from './lib/pages.mjs';
import { until } from './lib/proc.mjs';
import { Gateway } from './lib/viaduct.mjs';

const TONE = { page: 440, other: 1000, desk: 1500 };

describe('special calls', () => {
  let gateway;
  let chromium;
  let firefox;
  let pages;
  let desk;

  before(async () => {
    gateway = await Gateway.start();
    pages = await servePages();
    [chromium, firefox] = [await launch('chromium'), await launch('firefox')];
    desk = await Baresip.start({ user: '201', server: gateway.sip, frequency: TONE.desk });
    await gateway.mark();
  });

  after(async () => {
    await desk?.stop();
    await chromium?.close();
    await firefox?.close();
    await pages?.close();
    await gateway?.stop();
  });

  async function open(t, browser, user, frequency, { at = gateway, library = 'jssip' } = {}) {
    return openPhone(t, browser, pages.url(library), { gateway: at, server: at.ws, user, frequency });
  }

  async function clean(...phones) {
    await closePhones(phones);
    await gateway.expectClean();
  }

  for (const [name, kind] of [['Chromium', () => chromium], ['Firefox', () => firefox]]) {
    test(`${name} restarts ICE in a call to a desk phone, and both go on hearing each other`, async (t) => {
      const page = await open(t, kind(), '300', TONE.page);
      await page.talkTo(desk, '201', gateway.domain);
      const before = await page.run('summary');
      await page.run('reoffer', { iceRestart: true });
      const restarted = await page.run('summary');
      assert.notEqual(restarted.ufrag, before.ufrag);
      await until('ICE is connected again', async () => /connected|completed/.test((await page.run('summary')).ice));
      await until('packets come in after the restart', async () => (await page.run('summary')).received > restarted.received + 25);
      await page.hears(TONE.desk);
      await desk.hears(TONE.page);
      await page.run('hangup');
      await page.noted('ended:local');
      await clean(page);
    });
  }

  test('UPDATE carries a new offer', async (t) => {
    const page = await open(t, chromium, '300', TONE.page);
    const other = await open(t, chromium, '301', TONE.other);
    await page.call('301', gateway.domain);
    await other.noted('incoming');
    await other.run('answer');
    await Promise.all([page.noted('confirmed'), other.noted('confirmed')]);
    await page.run('reoffer', { useUpdate: true });
    await page.hears(TONE.other, [TONE.page]);
    await other.hears(TONE.page, [TONE.other]);
    await other.run('reoffer', { iceRestart: true });
    await page.hears(TONE.other);
    await other.hears(TONE.page);
    await page.run('hangup');
    await other.noted('ended:remote');
    await clean(page, other);
  });

  test('video goes from Chromium to Firefox and back', async (t) => {
    const [page, other] = [await open(t, chromium, '300', TONE.page), await open(t, firefox, '301', TONE.other)];
    await page.run('call', `sip:301@${gateway.domain}`, { video: true });
    await other.noted('incoming');
    await other.run('answer', { video: true });
    await Promise.all([page.noted('confirmed'), other.noted('confirmed')]);
    await page.hears(TONE.other, [TONE.page]);
    await other.hears(TONE.page, [TONE.other]);
    for (const phone of [page, other]) {
      await until(
        () => `${phone.user} sees no video`,
        async () => (await phone.run('summary')).frames > 10,
        30,
      );
    }
    await page.run('hangup');
    await other.noted('ended:remote');
    await clean(page, other);
  });

  test('a desk phone without video takes the audio of a video call', async (t) => {
    const page = await open(t, chromium, '300', TONE.page);
    await page.run('call', `sip:201@${gateway.domain}`, { video: true });
    await page.noted('ringing');
    desk.answer();
    await page.noted('confirmed');
    await page.hears(TONE.desk, [TONE.page]);
    await desk.hears(TONE.page, [TONE.desk]);
    await page.run('hangup');
    await page.noted('ended:local');
    await clean(page);
  });

  test('a muted browser is silent for the desk phone, which it still hears', async (t) => {
    const page = await open(t, chromium, '300', TONE.page);
    await page.talkTo(desk, '201', gateway.domain);
    await page.run('mute', true);
    await desk.hearsNone([TONE.page]);
    await page.hears(TONE.desk);
    await page.run('mute', false);
    await desk.hears(TONE.page);
    await page.run('hangup');
    await page.noted('ended:local');
    await clean(page);
  });

  test('all of it works over IPv6', async (t) => {
    const six = await Gateway.start({ address: 'fd77::1' });
    t.after(() => six.stop());
    const phone = await Baresip.start({ user: '202', server: six.sip, address: '[fd77::1]', frequency: TONE.desk, answer: 'auto' });
    await six.mark();
    const page = await open(t, chromium, '300', TONE.page, { at: six });
    await page.call('202', six.domain);
    await page.noted('confirmed');
    await page.hears(TONE.desk, [TONE.page]);
    await phone.hears(TONE.page, [TONE.desk]);
    await page.run('hangup');
    await page.noted('ended:local');
    await page.close();
    await six.expectClean();
    await phone.stop();
  });

  test('the flag strings of the well-known tutorial connect browsers and phones', async (t) => {
    const table = `media_policy:
  ws-to-ws: { offer: ICE=force-relay DTLS=passive, answer: ICE=force-relay DTLS=passive }
  ws-to-phone:
    offer: RTP/AVP replace-session-connection replace-origin ICE=remove
    answer: UDP/TLS/RTP/SAVPF ICE=force
  phone-to-ws:
    offer: UDP/TLS/RTP/SAVPF ICE=force
    answer: RTP/AVP replace-session-connection replace-origin ICE=remove
  phone-to-phone:
    offer: RTP/AVP replace-session-connection replace-origin ICE=remove
    answer: RTP/AVP replace-session-connection replace-origin ICE=remove
`;
    const flagged = await Gateway.start({ change: (text) => text + table });
    t.after(() => flagged.stop());
    const phone = await Baresip.start({ user: '202', server: flagged.sip, frequency: TONE.desk, answer: 'auto' });
    await flagged.mark();
    const page = await open(t, chromium, '300', TONE.page, { at: flagged });
    const other = await open(t, firefox, '301', TONE.other, { at: flagged });

    await page.call('202', flagged.domain);
    await page.noted('confirmed');
    await page.hears(TONE.desk, [TONE.page]);
    await phone.hears(TONE.page, [TONE.desk]);
    await page.run('hangup');
    await page.noted('ended:local');

    phone.dial(`sip:301@${flagged.sip}`);
    await other.noted('incoming');
    await other.run('answer');
    await other.hears(TONE.desk, [TONE.other]);
    await phone.hears(TONE.other, [TONE.desk]);
    phone.hangup();
    await other.noted('ended:remote');

    await page.run('forget');
    await other.run('forget');
    await page.call('301', flagged.domain);
    await other.noted('incoming');
    await other.run('answer');
    await page.hears(TONE.other, [TONE.page]);
    await other.hears(TONE.page, [TONE.other]);
    await page.run('hangup');
    await other.noted('ended:remote');

    await page.close();
    await other.close();
    await flagged.expectClean();
    await phone.stop();
  });

  test('a desk phone that loses its power in mid-call leaves nothing behind', async (t) => {
    const phone = await Baresip.start({ user: '202', server: gateway.sip, frequency: TONE.desk, answer: 'auto' });
    const page = await open(t, chromium, '300', TONE.page);
    await page.call('202', gateway.domain);
    await page.noted('confirmed');
    await page.hears(TONE.desk);
    await phone.kill();
    await page.hearsNone([TONE.desk]);
    await page.run('hangup');
    await page.noted(/^ended/);
    await clean(page);
  });
});
