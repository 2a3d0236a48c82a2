// Calls that outlive what happens to them, proven by tones: hold after hold, and a browser whose network changes.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { WebPhone, closePhones, launch } from './lib/browser.mjs';
import { Elsewhere, NEAR } from './lib/elsewhere.mjs';
import { servePages } from './lib/pages.mjs';
import { until } from './lib/proc.mjs';
import { Gateway } from './lib/viaduct.mjs';

const TONE = { page: 440, desk: 1500 };

/** How often a call is put on hold. */
const CYCLES = 20;

describe('calls that last', () => {
  let gateway;
  let desk;

  before(async () => {
    gateway = await Gateway.start();
    desk = await Baresip.start({ user: '201', server: gateway.sip, frequency: TONE.desk });
    await gateway.mark();
  });

  after(async () => {
    await desk?.stop();
    await gateway?.stop();
  });

  for (const [kind, library] of [['chromium', 'jssip'], ['firefox', 'sipjs']]) {
    test(`${kind} with ${library} holds and resumes ${CYCLES} times in one call`, async (t) => {
      const [browser, pages] = [await launch(kind), await servePages()];
      t.after(() => Promise.all([browser.close(), pages.close()]));
      const page = await WebPhone.open(browser, pages.url(library), { gateway, server: gateway.wss, user: '300', frequency: TONE.page });
      await page.talkTo(desk, '201', gateway.domain);
      for (let cycle = 1; cycle <= CYCLES; cycle++) {
        await t.test(`hold ${cycle}`, async () => {
          await page.run('forget');
          await page.run('hold');
          await page.noted('hold:local');
          await desk.hearsNone([TONE.page]);
          await page.run('resume');
          await page.noted('unhold:local');
          await Promise.all([page.hears(TONE.desk, [TONE.page]), desk.hears(TONE.page, [TONE.desk])]);
        });
      }
      await page.run('hangup');
      await page.noted('ended:local');
      await closePhones([page]);
      await gateway.expectClean();
    });
  }

  // RFC 8445 section 7.3.1.3: the relay learns the new address from a check that has proven the password.
  test('audio is back within 3 s after the network of Chromium has changed', async (t) => {
    const elsewhere = await Elsewhere.open('10.78.0.2');
    t.after(() => elsewhere.close());
    const pages = await servePages({ address: NEAR });
    const browser = await launch('chromium', { elsewhere });
    t.after(() => Promise.all([browser.close(), pages.close()]));
    const desk = await Baresip.start({ user: '202', server: gateway.sip, frequency: TONE.desk });
    const page = await WebPhone.open(browser, pages.url('jssip'), { gateway, server: gateway.ws, user: '300', frequency: TONE.page });
    await page.talkTo(desk, '202', gateway.domain);
    const before = await page.run('summary');
    await elsewhere.move('10.78.0.3');
    const moved = Date.now();
    await until('packets come in again', async () => (await page.run('summary')).received > before.received + 25);
    await Promise.all([page.hears(TONE.desk, [TONE.page]), desk.hears(TONE.page, [TONE.desk])]);
    const cut = Date.now() - moved;
    assert.ok(cut < 3_000, `audio was back after ${cut} ms`);

    // Its WebSocket still has the old address, and nobody has told it. The desk phone can end the call all the same.
    desk.forget();
    desk.hangup();
    await desk.saw('CALL_CLOSED');
    await closePhones([page]);
    // Its BYE gets no answer but silence (RFC 4320 section 4.2), for which it would wait half a minute.
    await desk.kill();
    await gateway.expectClean({ except: ['connections', 'tasks'] });
  });
});
