// Several devices of one user, and what is heard before anybody answers.

import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { servePages } from './lib/pages.mjs';
import { Sipp } from './lib/sipp.mjs';
import { Gateway } from './lib/viaduct.mjs';

/** What each party sends, in Hz. */
const TONE = { page: 440, other: 1000, phone: 700, desk: 1500 };

describe('devices', () => {
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
    await Sipp.run(gateway, 'register', { user: '202' });
    await gateway.mark();
  });

  after(async () => {
    await desk?.stop();
    await chromium?.close();
    await firefox?.close();
    await pages?.close();
    await gateway?.stop();
  });

  async function open(t, browser, library, user, frequency) {
    return openPhone(t, browser, pages.url(library), { gateway, server: gateway.wss, user, frequency });
  }

  async function clean(...phones) {
    await closePhones(phones);
    await gateway.expectClean();
  }

  /** Two browsers and a phone of user 300, all ringing because user 201 calls. */
  async function ring(t) {
    const page = await open(t, chromium, 'jssip', '300', TONE.page);
    const other = await open(t, firefox, 'sipjs', '300', TONE.other);
    const phone = await Baresip.start({ user: '300', server: gateway.sip, frequency: TONE.phone });
    t.after(() => phone.stop());
    desk.forget();
    desk.dial(`sip:300@${gateway.sip}`);
    await Promise.all([page.noted('incoming'), other.noted('incoming'), phone.saw('CALL_INCOMING')]);
    await desk.saw('CALL_RINGING');
    return { page, other, phone };
  }

  /** RFC 3326 section 2: no missed call is shown for one that was taken elsewhere. */
  const ELSEWHERE = /^reason:SIP;\s*cause=200;\s*text="Call completed elsewhere"$/;

  test('two browsers and a phone ring, one browser answers, and the others know', async (t) => {
    const { page, other, phone } = await ring(t);
    await other.run('answer');
    await other.noted('confirmed');
    await page.noted(/^failed:/);
    await page.noted(ELSEWHERE);
    await phone.saw('CALL_CLOSED');
    await other.hears(TONE.desk);
    await desk.hears(TONE.other, [TONE.page, TONE.phone]);
    desk.hangup();
    await other.noted('ended:remote');
    await clean(page, other);
  });

  test('two browsers and a phone ring, the phone answers, and the others know', async (t) => {
    const { page, other, phone } = await ring(t);
    phone.answer();
    await phone.saw('CALL_ESTABLISHED');
    for (const browser of [page, other]) {
      await browser.noted(/^failed:/);
      await browser.noted(ELSEWHERE);
    }
    await phone.hears(TONE.desk);
    await desk.hears(TONE.phone, [TONE.page, TONE.other]);
    desk.hangup();
    await phone.saw('CALL_CLOSED');
    await clean(page, other);
  });

  test('two browsers and a phone ring, and the caller gives up', async (t) => {
    const { page, other, phone } = await ring(t);
    desk.hangup();
    await Promise.all([page.noted(/^failed:/), other.noted(/^failed:/), phone.saw('CALL_CLOSED')]);
    await clean(page, other);
  });

  for (const library of ['jssip', 'sipjs']) {
    test(`a browser with ${library} hears the phone before it answers`, async (t) => {
      const callee = Sipp.start(gateway, 'callee-early-echo', { user: '202', echo: true });
      const page = await open(t, chromium, library, '301', TONE.page);
      await page.call('202', gateway.domain);
      await page.noted('early');
      await page.run('listen');
      // What it says comes back, and nobody has answered.
      await page.hears(TONE.page);
      await page.run('hangup');
      await page.noted(/^failed:/);
      await callee.done();
      await clean(page);
    });
  }
});
