// The test pages, bundled from unmodified packages and served on loopback.

import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const folder = fileURLToPath(new URL('../pages', import.meta.url));

/** Bundles and serves the pages `/jssip` and `/sipjs`. */
export async function servePages({ address = '127.0.0.1' } = {}) {
  const bundles = {};
  for (const name of ['jssip', 'sipjs']) {
    const result = await build({
      entryPoints: [path.join(folder, `${name}.mjs`)],
      bundle: true,
      format: 'esm',
      write: false,
      logLevel: 'error',
    });
    bundles[`/${name}.js`] = result.outputFiles[0].contents;
  }
  const server = createServer((request, response) => {
    const bundle = bundles[request.url];
    if (bundle) {
      response.setHeader('content-type', 'text/javascript');
      response.end(bundle);
    } else {
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><title>phone</title><script type="module" src="${request.url}.js"></script>`);
    }
  });
  await new Promise((resolve) => server.listen(0, address, resolve));
  return {
    url: (library) => `http://${address}:${server.address().port}/${library}`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
