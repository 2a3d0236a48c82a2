// The phone page, used as a person would: click, look at the lights, hang up.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch } from './lib/browser.mjs';
import { Baresip } from './lib/baresip.mjs';
import { until } from './lib/proc.mjs';
import { Demo } from './lib/demo.mjs';

const PICTURES = fileURLToPath(new URL('out', import.meta.url));
const GREEN = ['page', 'websocket', 'registered', 'ice', 'audio'];

async function open(t, browser, url, size = { width: 1100, height: 800 }) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(size);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  await page.goto(url);
  page.done = () => context.close();
  t.after(() => page.done().catch(() => {}));
  return page;
}

function lights(page) {
  return page.$$eval('.light', (all) => Object.fromEntries(all.map((light) => [light.dataset.light, light.dataset.state])));
}

/** Waits until these lights are green. */
async function green(page, names) {
  let seen;
  try {
    await until(
      () => `lights are ${JSON.stringify(seen)}`,
      async () => {
        seen = await lights(page);
        return names.every((name) => seen[name] === 'green');
      },
      20,
    );
  } catch (error) {
    await page.screenshot({ path: path.join(PICTURES, 'failure.png') });
    throw error;
  }
}

function text(page, selector) {
  return page.$eval(selector, (element) => element.textContent.trim());
}

for (const kind of ['chromium', 'firefox']) {
  describe(`the phone page in ${kind}`, () => {
    let demo;
    let browser;

    before(async () => {
      mkdirSync(PICTURES, { recursive: true });
      demo = await Demo.start();
      browser = await launch(kind);
    });

    after(async () => {
      await browser?.close();
      await demo?.expectClean();
      await demo?.stop();
    });

    test('Call echo turns five lights green, and hanging up ends the call', async (t) => {
      const page = await open(t, browser, demo.url);
      await green(page, ['page', 'websocket', 'registered']);
      await page.screenshot({ path: path.join(PICTURES, `page-${kind}-idle.png`) });
      await page.click('#call-echo');
      await green(page, GREEN);
      await page.screenshot({ path: path.join(PICTURES, `page-${kind}-call.png`) });
      await page.click('#hangup');
      await page.waitForSelector('#idle-panel', { visible: true });
      await demo.said(/call \d+ +300 → 100/);
      await demo.said(/audio both ways after/);
      await demo.said(/ended by 300/);
      assert.deepEqual(page.problems, []);
      await page.done();
      await demo.expectClean({ except: ['transactions'] });
    });

    test('the keyboard dials, mutes, holds and hangs up', async (t) => {
      const page = await open(t, browser, demo.url);
      await green(page, ['registered']);
      await page.keyboard.type('101');
      await page.keyboard.press('Enter');
      await green(page, GREEN);
      await page.keyboard.press('m');
      await page.waitForSelector('#mute[aria-pressed="true"]');
      await page.keyboard.press('m');
      await page.waitForSelector('#mute[aria-pressed="false"]');
      await page.keyboard.press('h');
      await page.waitForSelector('#hold[aria-pressed="true"]');
      await page.keyboard.press('h');
      await page.waitForSelector('#hold[aria-pressed="false"]');
      await page.keyboard.press('Escape');
      await page.waitForSelector('#idle-panel', { visible: true });
      assert.deepEqual(page.problems, []);
      await page.done();
      await demo.expectClean({ except: ['transactions'] });
    });

    test('two pages are two users: one rings the other, on a screen as small as a phone', async (t) => {
      const [caller, callee] = [await open(t, browser, demo.url), await open(t, browser, demo.url, { width: 360, height: 740 })];
      await green(caller, ['registered']);
      await green(callee, ['registered']);
      const names = await Promise.all([text(caller, '#account-name'), text(callee, '#account-name')]);
      const numbers = names.map((name) => /30\d/.exec(name)[0]);
      assert.notEqual(numbers[0], numbers[1]);
      await caller.type('#number', numbers[1]);
      await caller.click('#call');
      await callee.waitForSelector('#answer', { visible: true });
      await callee.screenshot({ path: path.join(PICTURES, `page-${kind}-ringing.png`) });
      await callee.click('#answer');
      await green(caller, GREEN);
      await green(callee, GREEN);
      await callee.screenshot({ path: path.join(PICTURES, `page-${kind}-small.png`) });
      const fits = await callee.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
      assert.ok(fits, 'nothing sticks out to the right');
      await callee.click('#hangup');
      await caller.waitForSelector('#idle-panel', { visible: true });
      await caller.done();
      await callee.done();
      await demo.expectClean({ except: ['transactions'] });
    });

    test('a desk phone that was set up as the page says is called from it', async (t) => {
      const phone = await Baresip.start({ user: '201', server: demo.sip, password: demo.password('201'), frequency: 700, answer: 'auto' });
      const page = await open(t, browser, demo.url);
      await green(page, ['registered']);
      await page.type('#number', '201');
      await page.click('#call');
      await green(page, GREEN);
      await page.click('[data-digit="7"]');
      await until('the desk phone hears the key', () => phone.digits === '7');
      phone.hangup();
      await page.waitForSelector('#idle-panel', { visible: true });
      await page.done();
      await phone.stop();
      await demo.expectClean({ except: ['transactions'] });
    });

    test('a red light says why: the gateway has gone', async (t) => {
      const own = await Demo.start();
      const page = await open(t, browser, own.url);
      await green(page, ['registered']);
      await own.stop();
      await page.waitForSelector('.light[data-light="websocket"][data-state="red"]', { timeout: 20_000 });
      await page.click('.light[data-light="websocket"]');
      await page.waitForSelector('#explanation', { visible: true });
      assert.match(await text(page, '#explanation-means'), /\w+ \w+ \w+/);
      assert.match(await text(page, '#explanation-advice'), /\w+ \w+/);
      await page.screenshot({ path: path.join(PICTURES, `page-${kind}-red.png`) });
      await page.done();
    });
  });
}
