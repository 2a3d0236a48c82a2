// Our relay in rtpengine's place behind Debian's Kamailio: every row of the table of browsers and phones, in both styles of
// flags, proven by tones both ways.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { Kamailio } from './lib/kamailio.mjs';
import { servePages } from './lib/pages.mjs';
import { Sipp } from './lib/sipp.mjs';
import { SpacedFlags } from './lib/spaced-flags.mjs';
import { ports, Relay } from './lib/viaduct.mjs';

/** What each party sends, in Hz. */
const TONE = { page: 440, other: 1000, phone: 700, desk: 1500 };

let browser;
let pages;

before(async () => {
  pages = await servePages();
  browser = await launch('chromium');
});

after(async () => {
  await browser?.close();
  await pages?.close();
});

for (const flags of ['words', 'whole']) {
  describe(`our relay behind Kamailio, flags as ${flags}`, () => {
    let relay;
    let between;
    let kamailio;
    let desk;
    let phone;

    before(async () => {
      relay = await Relay.start(['--delete-delay=0']);
      let ng = relay.ports.ng;
      if (flags === 'whole') {
        ng = ports().ng;
        between = await SpacedFlags.start({ relay: relay.ports.ng, port: ng });
      }
      kamailio = await Kamailio.start({ ng, flags });
      desk = await Baresip.start({ user: '201', server: kamailio.sip, frequency: TONE.desk });
      phone = await Baresip.start({ user: '202', server: kamailio.sip, frequency: TONE.phone });
    });

    after(async () => {
      await desk?.stop();
      await phone?.stop();
      await kamailio?.stop();
      between?.close();
      await relay?.stop();
    });

    async function open(t, user, frequency) {
      desk.forget();
      phone.forget();
      return openPhone(t, browser, pages.url('jssip'), { gateway: kamailio, server: kamailio.ws, user, frequency });
    }

    /** The relay forgets the call, and its flags came in this test's style. */
    async function clean(...open) {
      await closePhones(open);
      await relay.expectClean();
      if (between) assert.ok(between.spaced > 0, 'no command had its flags in one string');
    }

    const uri = (user) => `sip:${user}@${kamailio.sip}`;

    test('a browser calls a phone, holds, resumes, restarts ICE and hangs up', async (t) => {
      const page = await open(t, '300', TONE.page);
      await page.talkTo(desk, '201', kamailio.domain);
      await page.run('hold');
      await page.noted('hold:local');
      await page.hearsNone([TONE.desk]);
      await desk.hearsNone([TONE.page]);
      await page.run('resume');
      await page.noted('unhold:local');
      await page.hears(TONE.desk, [TONE.page]);
      await desk.hears(TONE.page, [TONE.desk]);
      await page.run('reoffer', { iceRestart: true });
      await page.hears(TONE.desk, [TONE.page]);
      await desk.hears(TONE.page, [TONE.desk]);
      await page.run('hangup');
      await desk.saw('CALL_CLOSED');
      await clean(page);
    });

    test('a phone calls a browser, holds, resumes and hangs up', async (t) => {
      const page = await open(t, '300', TONE.page);
      desk.dial(uri('300'));
      await page.noted('incoming');
      await page.run('answer');
      await page.noted('confirmed');
      await page.hears(TONE.desk, [TONE.page]);
      await desk.hears(TONE.page, [TONE.desk]);
      desk.command('hold');
      await page.noted('hold:remote');
      await page.hearsNone([TONE.desk]);
      desk.command('resume');
      await page.noted('unhold:remote');
      await page.hears(TONE.desk, [TONE.page]);
      await desk.hears(TONE.page, [TONE.desk]);
      desk.hangup();
      await page.noted('ended:remote');
      await clean(page);
    });

    test('a browser calls a browser, is held and resumed, and hangs up', async (t) => {
      const page = await open(t, '300', TONE.page);
      const other = await open(t, '301', TONE.other);
      await page.call('301', kamailio.domain);
      await other.noted('incoming');
      await other.run('answer');
      await page.hears(TONE.other, [TONE.page]);
      await other.hears(TONE.page, [TONE.other]);
      await other.run('hold');
      await page.noted('hold:remote');
      await page.hearsNone([TONE.other]);
      await other.run('resume');
      await page.noted('unhold:remote');
      await page.hears(TONE.other, [TONE.page]);
      await other.hears(TONE.page, [TONE.other]);
      await page.run('hangup');
      await other.noted('ended:remote');
      await clean(page, other);
    });

    test('a phone calls a phone, holds, resumes and hangs up', async () => {
      desk.forget();
      phone.forget();
      desk.dial(uri('202'));
      await phone.saw('CALL_INCOMING');
      phone.answer();
      await desk.hears(TONE.phone, [TONE.desk]);
      await phone.hears(TONE.desk, [TONE.phone]);
      desk.command('hold');
      await phone.hearsNone([TONE.desk]);
      desk.command('resume');
      await desk.hears(TONE.phone, [TONE.desk]);
      await phone.hears(TONE.desk, [TONE.phone]);
      desk.hangup();
      await phone.saw('CALL_CLOSED');
      await clean();
    });

    test('a browser and a phone of one user ring, and one of them is talked to', async (t) => {
      for (const answers of ['browser', 'phone']) {
        const page = await open(t, '302', TONE.page);
        const device = await Baresip.start({ user: '302', server: kamailio.sip, frequency: TONE.other });
        t.after(() => device.stop());
        desk.dial(uri('302'));
        await Promise.all([page.noted('incoming'), device.saw('CALL_INCOMING')]);
        if (answers === 'browser') {
          await page.run('answer');
          await device.saw('CALL_CLOSED');
          await page.hears(TONE.desk, [TONE.page]);
          await desk.hears(TONE.page, [TONE.desk, TONE.other]);
        } else {
          device.answer();
          await page.noted(/^failed:/);
          await device.hears(TONE.desk, [TONE.other]);
          await desk.hears(TONE.other, [TONE.desk, TONE.page]);
        }
        desk.hangup();
        await desk.saw('CALL_CLOSED');
        await device.stop();
        await clean(page);
      }
    });

    test('a browser hears a phone before it answers, and gives up', async (t) => {
      const callee = Sipp.start(kamailio, 'callee-early-echo', { user: '204', echo: true });
      const page = await open(t, '300', TONE.page);
      await page.call('204', kamailio.domain);
      await page.noted('early');
      await page.run('listen');
      // What it says comes back, and nobody has answered.
      await page.hears(TONE.page);
      await page.run('hangup');
      await page.noted(/^failed:/);
      await callee.done();
      await clean(page);
    });

    test('a browser gives up a phone that rings, and a phone refuses', async (t) => {
      const page = await open(t, '300', TONE.page);
      await page.call('201', kamailio.domain);
      await page.noted('ringing');
      await page.run('hangup');
      await desk.saw('CALL_CLOSED');
      await relay.expectClean();
      desk.forget();
      await page.run('forget');
      await page.call('201', kamailio.domain);
      await desk.saw('CALL_INCOMING');
      desk.hangup();
      await page.noted(/^failed:/);
      await clean(page);
    });
  });
}
