// How long it takes from the click on Call echo to audio both ways, as the page shows it. Prints ten times and the
// median. Usage: tests/e2e/run --timing

import { launch } from './lib/browser.mjs';
import { Demo } from './lib/demo.mjs';
import { until } from './lib/proc.mjs';

const ROUNDS = 10;

const demo = await Demo.start();
for (const kind of ['chromium', 'firefox']) {
  const browser = await launch(kind);
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.newPage();
    await page.goto(demo.url);
    await page.waitForSelector('.light[data-light="registered"][data-state="green"]');
    // Inside the page, so that neither the driver nor its polling counts.
    await page.evaluate(() => {
      const light = document.querySelector('.light[data-light="audio"]');
      document.querySelector('#call-echo').addEventListener('click', () => (window.clicked = performance.now()), true);
      new MutationObserver(() => {
        if (light.dataset.state === 'green') window.heard ??= performance.now();
      }).observe(light, { attributes: true });
    });
    await page.click('#call-echo');
    times.push(await until('both ways', () => page.evaluate(() => window.heard && window.heard - window.clicked)));
    await page.click('#hangup');
    await page.waitForSelector('#idle-panel', { visible: true });
    await page.close();
  }
  await browser.close();
  const sorted = times.map(Math.round).sort((a, b) => a - b);
  const median = Math.round((sorted[ROUNDS / 2 - 1] + sorted[ROUNDS / 2]) / 2);
  console.log(`${kind}: click to audio both ways, median ${median} ms of ${sorted.join(' ')}`);
}
const gateway = [...demo.program.output.matchAll(/both ways after (\S+) s/g)].map((match) => Number(match[1])).sort((a, b) => a - b);
console.log(`gateway: answer to audio both ways, median ${gateway[Math.floor(gateway.length / 2)]} s`);
await demo.stop();
