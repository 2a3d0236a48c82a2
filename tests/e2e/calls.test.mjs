// Every call that a browser can make or take, with unmodified JsSIP and SIP.js, proven by tones.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { servePages } from './lib/pages.mjs';
import { until } from './lib/proc.mjs';
import { Gateway } from './lib/viaduct.mjs';

/** What each party sends, in Hz. Far enough apart for G.711 and for the measurement, and no harmonics of each other. */
const TONE = { page: 440, other: 1000, desk: 1500 };

const COMBINATIONS = [
  { browser: 'chromium', library: 'jssip', transport: 'wss' },
  { browser: 'chromium', library: 'jssip', transport: 'ws' },
  { browser: 'chromium', library: 'sipjs', transport: 'wss' },
  { browser: 'chromium', library: 'sipjs', transport: 'ws' },
  { browser: 'firefox', library: 'jssip', transport: 'wss' },
  { browser: 'firefox', library: 'sipjs', transport: 'ws' },
];

for (const { browser: kind, library, transport } of COMBINATIONS) {
  describe(`${kind} with ${library} over ${transport}`, () => {
    let gateway;
    let browser;
    let pages;
    let desk;

    before(async () => {
      gateway = await Gateway.start();
      pages = await servePages();
      browser = await launch(kind);
      desk = await Baresip.start({ user: '201', server: gateway.sip, frequency: TONE.desk });
      await gateway.mark();
    });

    after(async () => {
      await desk?.stop();
      await browser?.close();
      await pages?.close();
      await gateway?.stop();
    });

    async function open(t, user, frequency) {
      const server = transport === 'wss' ? gateway.wss : gateway.ws;
      return openPhone(t, browser, pages.url(library), { gateway, server, user, frequency });
    }

    /** Ends the pages of a test and looks whether the gateway forgets them. */
    async function clean(...phones) {
      await closePhones(phones);
      await gateway.expectClean();
    }

    test('registers, and echo returns what it says', async (t) => {
      const page = await open(t, '300', TONE.page);
      const [registration] = await gateway.ask('registrations').then((all) => all.filter(({ aor }) => /300/.test(aor)));
      assert.equal(registration.transport, transport.toUpperCase());
      assert.deepEqual(registration.flags, ['DST_WS']);
      await page.call('100', gateway.domain);
      await page.noted('confirmed');
      await page.hears(TONE.page);
      const summary = await page.run('summary');
      assert.ok(summary.received > 0 && summary.sent > 0, JSON.stringify(summary));
      await page.run('hangup');
      await page.noted('ended:local');
      await clean(page);
    });

    test('calls a desk phone, which hangs up', async (t) => {
      const page = await open(t, '300', TONE.page);
      await page.talkTo(desk, '201', gateway.domain);
      desk.hangup();
      await page.noted('ended:remote');
      await clean(page);
    });

    test('is called by a desk phone, and hangs up', async (t) => {
      const page = await open(t, '300', TONE.page);
      desk.forget();
      desk.dial(`sip:300@${gateway.sip}`);
      await page.noted('incoming');
      await page.run('answer');
      await page.noted('confirmed');
      await page.hears(TONE.desk, [TONE.page]);
      await desk.hears(TONE.page, [TONE.desk]);
      await page.run('hangup');
      await desk.saw('CALL_CLOSED');
      await clean(page);
    });

    test('holds and resumes, and is held and resumed', async (t) => {
      const page = await open(t, '300', TONE.page);
      await page.talkTo(desk, '201', gateway.domain);
      await page.run('hold');
      await page.noted('hold:local');
      await page.hearsNone([TONE.desk]);
      await desk.hearsNone([TONE.page]);
      await page.run('resume');
      await page.noted('unhold:local');
      await page.hears(TONE.desk);
      await desk.hears(TONE.page);
      desk.command('hold');
      await page.noted('hold:remote');
      await page.hearsNone([TONE.desk]);
      desk.command('resume');
      await page.noted('unhold:remote');
      await page.hears(TONE.desk);
      await desk.hears(TONE.page);
      await page.run('hangup');
      await page.noted('ended:local');
      await clean(page);
    });

    test('sends keys that the desk phone understands', async (t) => {
      const page = await open(t, '300', TONE.page);
      await page.talkTo(desk, '201', gateway.domain);
      const before = desk.digits.length;
      for (const [index, digit] of ['4', '#', '1'].entries()) {
        await page.run('digit', digit);
        await until(
          () => `the desk phone got ${desk.digits.slice(before)}, and not ${digit}`,
          () => desk.digits.slice(before)[index] === digit,
        );
      }
      await page.run('hangup');
      await page.noted('ended:local');
      await clean(page);
    });

    test('calls another browser, which hangs up', async (t) => {
      const [page, other] = [await open(t, '300', TONE.page), await open(t, '301', TONE.other)];
      await page.call('301', gateway.domain);
      await other.noted('incoming');
      await other.run('answer');
      await Promise.all([page.noted('confirmed'), other.noted('confirmed')]);
      await page.hears(TONE.other, [TONE.page]);
      await other.hears(TONE.page, [TONE.other]);
      await other.run('hangup');
      await page.noted('ended:remote');
      await clean(page, other);
    });

    test('gives up while the desk phone rings', async (t) => {
      const page = await open(t, '300', TONE.page);
      desk.forget();
      await page.call('201', gateway.domain);
      await page.noted('ringing');
      await page.run('hangup');
      await page.noted(/^failed:/);
      await desk.saw('CALL_CLOSED');
      await clean(page);
    });

    test('a reload in mid-call ends the call on both sides', async (t) => {
      const page = await open(t, '300', TONE.page);
      await page.talkTo(desk, '201', gateway.domain);
      desk.forget();
      await page.page.reload();
      await desk.saw('CALL_CLOSED', 30);
      await clean(page);
    });
  });
}
