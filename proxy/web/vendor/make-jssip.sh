#!/bin/sh
# Makes the single-file ES module of JsSIP that the phone page imports.
#
# The npm packages are taken as published, by name and exact version, and bundled without any change to their
# source. Running this again gives the same bytes; `--check` compares with what is committed instead of writing.
set -eu

JSSIP=3.13.8
DEBUG=4.4.3
MS=2.1.3
EVENTS=3.3.0
SDP_TRANSFORM=2.15.0
ESBUILD=0.28.2

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
assets=$here/../assets/phone/vendor
bundle=jssip-$JSSIP.js
licences=jssip-$JSSIP.LICENSES.txt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/out"

cd "$work"
printf '{ "private": true }\n' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts --save-exact \
    "jssip@$JSSIP" "debug@$DEBUG" "ms@$MS" "events@$EVENTS" "sdp-transform@$SDP_TRANSFORM" "esbuild@$ESBUILD"

# Only what the page uses is exported; the licence comment leads to the texts beside the bundle.
printf 'export { UA, WebSocketInterface, C, debug } from "jssip";\n' > entry.mjs
node_modules/.bin/esbuild entry.mjs --bundle --format=esm --platform=browser --target=es2020 \
    --minify --charset=utf8 --legal-comments=none --log-level=warning \
    --banner:js="/* JsSIP $JSSIP with debug $DEBUG, ms $MS, events $EVENTS, sdp-transform $SDP_TRANSFORM. MIT licences: $licences */" \
    --metafile=meta.json --outfile="out/$bundle"

# The licence list is made from what was bundled, so a dependency cannot slip in without its text.
node - "$work" > "out/$licences" <<'NODE'
const fs = require('node:fs');
const path = require('node:path');
const root = process.argv[2];
const inputs = Object.keys(JSON.parse(fs.readFileSync(path.join(root, 'meta.json'))).inputs);
const packages = [...new Set(inputs.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]).filter(Boolean))].sort();
const expected = ['debug', 'events', 'jssip', 'ms', 'sdp-transform'];
if (packages.join() !== expected.join()) throw new Error(`bundled packages are ${packages}, expected ${expected}`);
const sections = packages.map((name) => {
  const folder = path.join(root, 'node_modules', name);
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json')));
  const file = fs.readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence file`);
  const text = fs.readFileSync(path.join(folder, file), 'utf8').replace(/\r\n/g, '\n').replace(/[ \t]+$/gm, '').trim();
  return `${name} ${version}\n${'='.repeat(name.length + version.length + 1)}\n\n${text}\n`;
});
process.stdout.write(`The file beside this one bundles these packages, unmodified.\n\n${sections.join('\n\n')}`);
NODE

(cd out && sha256sum "$bundle" "$licences" > SHA256SUMS)

if [ "${1:-}" = --check ]; then
    cmp "out/$bundle" "$assets/$bundle"
    cmp "out/$licences" "$assets/$licences"
    cmp out/SHA256SUMS "$here/SHA256SUMS"
    echo "the committed bundle is what npm's packages give"
else
    mkdir -p "$assets"
    rm -f "$assets"/jssip-*
    cp "out/$bundle" "out/$licences" "$assets/"
    cp out/SHA256SUMS "$here/SHA256SUMS"
    echo "wrote $bundle"
fi
