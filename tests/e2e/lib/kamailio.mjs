// Debian's Kamailio: as the SIP proxy with our relay behind its rtpengine module, and as an edge in front of our proxy.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { proxy } from './kamailio-proxy.mjs';
import { Program } from './proc.mjs';
import { ADDRESS, ports } from './viaduct.mjs';

export class Kamailio {
  /** Starts it as a proxy; `ng` is the port of the relay, and `flags` the style of its flags, see ./kamailio-proxy.mjs. */
  static start({ ng, flags }) {
    return Kamailio.launch((ports) => proxy(ports, ng, flags));
  }

  /** Starts it between phones and a proxy, which keeps the registrations. */
  static edge({ proxy }) {
    return Kamailio.launch((ports) => edge(ports, proxy));
  }

  /** Starts it between two proxies, each with its `domain` and how it is reached. */
  static between({ address, sides }) {
    return Kamailio.launch((ports) => between(ports, address, sides), address);
  }

  static async launch(text, address = ADDRESS) {
    const kamailio = new Kamailio();
    kamailio.address = address;
    kamailio.folder = mkdtempSync(path.join(tmpdir(), 'kamailio-'));
    kamailio.ports = ports();
    const file = path.join(kamailio.folder, 'kamailio.cfg');
    writeFileSync(file, text(kamailio.ports));
    const args = ['-DD', '-E', '-f', file, '-Y', kamailio.folder, '-m', '32', '-M', '8', '-n', '1'];
    kamailio.program = new Program('kamailio', 'kamailio', args);
    await kamailio.program.said('the test proxy is ready');
    return kamailio;
  }

  get ws() {
    return `ws://${this.address}:${this.ports.http}/`;
  }

  get sip() {
    return `${this.address}:${this.ports.sip}`;
  }

  get domain() {
    return this.address;
  }

  async stop() {
    await this.program.stop('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Phones reach it over TCP or UDP, the proxy is behind it over UDP: Path for registrations (RFC 3327), and a Record-Route for
 * each side where they differ (RFC 5658).
 */
function edge({ sip }, proxy) {
  return `
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:${ADDRESS}:${sip}
listen=tcp:${ADDRESS}:${sip}
tcp_connection_lifetime=3600

loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "path.so"

modparam("rr", "enable_double_rr", 1)

request_route {
    if (!mf_process_maxfwd_header("10")) exit;
    force_rport();
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (has_totag()) {
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }
    # Phones name this proxy in a Route of their own, and the registrar does when it follows a Path.
    loose_route();
    if (is_method("REGISTER")) {
        add_path();
        append_hf("Supported: path\\r\\n");
    } else {
        record_route();
    }
    if ($sp != ${proxy.split(':')[1]}) $du = "sip:${proxy};transport=udp";
    t_relay();
}

event_route[core:worker-one-init] {
    xlog("L_ERR", "the test proxy is ready\\n");
}
`;
}

/** It carries calls from one domain to the other, over another transport on either side: a Record-Route for each (RFC 5658). */
function between({ sip }, address, sides) {
  const towards = ({ domain, server, transport }) => `if ($rd == "${domain}") $du = "sip:${server};transport=${transport}";`;
  return `
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:${address}:${sip}
listen=tcp:${address}:${sip}
tcp_connection_lifetime=3600

loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"

modparam("rr", "enable_double_rr", 1)

request_route {
    if (!mf_process_maxfwd_header("10")) exit;
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (has_totag()) {
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }
    record_route();
    ${sides.map(towards).join('\n    ')}
    t_relay();
}

event_route[core:worker-one-init] {
    xlog("L_ERR", "the test proxy is ready\\n");
}
`;
}
