// Calls that are sent on to somebody else, with unmodified JsSIP and SIP.js over WSS, proven by tones.

import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { servePages } from './lib/pages.mjs';
import { Gateway } from './lib/viaduct.mjs';

/** What each party sends, in Hz. */
const TONE = { page: 440, other: 1000, third: 700, desk: 1500 };

for (const library of ['jssip', 'sipjs']) {
  describe(`transfers with ${library}`, () => {
    let gateway;
    let browser;
    let pages;
    let desk;

    before(async () => {
      gateway = await Gateway.start();
      pages = await servePages();
      browser = await launch('chromium');
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
      return openPhone(t, browser, pages.url(library), { gateway, server: gateway.wss, user, frequency });
    }

    async function clean(...phones) {
      await closePhones(phones);
      await gateway.expectClean();
    }

    /** Calls another page, which answers, and waits until both talk. */
    async function connect(page, other) {
      await page.call(other.user, gateway.domain);
      await other.noted('incoming');
      await other.run('answer');
      await Promise.all([page.noted('confirmed'), other.noted('confirmed')]);
      await page.hears(other.frequency);
    }

    // RFC 5589 section 6.1: REFER, the transferee's own call, NOTIFY, BYE.
    test('a browser sends its caller on to a desk phone', async (t) => {
      const [page, other] = [await open(t, '300', TONE.page), await open(t, '301', TONE.other)];
      await connect(other, page);
      await other.run('forget');
      desk.forget();
      await page.run('transfer', `sip:201@${gateway.domain}`);
      await other.noted('referred');
      await desk.saw('CALL_INCOMING');
      desk.answer();
      await page.noted('transferred');
      await page.noted('ended:local');
      await other.noted('confirmed');
      await other.hears(TONE.desk, [TONE.page]);
      await desk.hears(TONE.other, [TONE.page]);
      await other.run('hangup');
      await desk.saw('CALL_CLOSED');
      await clean(page, other);
    });

    // RFC 3515 section 2.4.5: who is not reached is told as well, and the first call goes on.
    test('a transfer to nobody comes back', async (t) => {
      const [page, other] = [await open(t, '300', TONE.page), await open(t, '301', TONE.other)];
      await connect(page, other);
      await page.run('transfer', `sip:999@${gateway.domain}`);
      await page.noted('transfer failed');
      await page.hears(TONE.other);
      await page.run('hangup');
      await other.noted('ended:remote');
      await clean(page, other);
    });

    // RFC 5589 section 7.1: the transferee's call takes the place of the consultation (RFC 3891).
    test('a browser asks a third before it sends the caller on', async (t) => {
      const [page, other] = [await open(t, '300', TONE.page), await open(t, '301', TONE.other)];
      const third = await open(t, '302', TONE.third);
      await connect(page, other);
      await page.run('hold');
      await connect(page, third);
      await other.run('forget');
      await third.run('forget');
      await page.run('join');
      await other.noted('referred');
      await third.noted('replaced');
      await page.noted('transferred');
      await other.noted('confirmed');
      await other.hears(TONE.third, [TONE.page]);
      await third.hears(TONE.other, [TONE.page]);
      await page.noted('ended:local');
      await page.noted('ended:remote');
      await third.run('hangup');
      await other.noted('ended:remote');
      await clean(page, other, third);
    });
  });
}
