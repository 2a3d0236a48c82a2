// Debian's Kamailio: as the SIP proxy with our relay behind its rtpengine module, and as an edge in front of our proxy.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Program } from './proc.mjs';
import { ADDRESS, ports } from './viaduct.mjs';

export class Kamailio {
  /** Starts it as a proxy; `ng` is the port of the relay. */
  static start({ ng }) {
    return Kamailio.launch((ports) => configuration(ports, ng));
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

/** A registrar without passwords that bridges browsers and phones: as plain as such a configuration can be. */
function configuration({ http, sip }, ng) {
  return `
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:${ADDRESS}:${sip}
listen=tcp:${ADDRESS}:${http}
tcp_accept_no_cl=yes
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
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
loadmodule "rtpengine.so"

modparam("nathelper|registrar", "received_avp", "$avp(RECEIVED)")
modparam("rr", "enable_double_rr", 1)
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 600)
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:${ng}")

request_route {
    if (!mf_process_maxfwd_header("10")) exit;
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (proto == WS) {
        force_rport();
        if (is_method("REGISTER")) {
            fix_nated_register();
        } else if (is_method("INVITE|UPDATE")) {
            add_contact_alias();
        }
    }
    if (has_totag()) {
        if (loose_route()) {
            if (!isdsturiset()) handle_ruri_alias();
            if (is_method("BYE")) rtpengine_delete();
            t_relay();
            exit;
        }
        if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }
    if (is_method("REGISTER")) {
        if (proto == WS) setbflag(5);
        save("location");
        exit;
    }
    if (is_method("INVITE")) record_route();
    if (proto == WS) setflag(5);
    if (!lookup("location")) {
        sl_send_reply("404", "Not Found");
        exit;
    }
    t_on_branch("OFFER");
    t_on_reply("ANSWER");
    t_relay();
}

branch_route[OFFER] {
    if (!is_method("INVITE") || !has_body("application/sdp")) return;
    if (isflagset(5) && !isbflagset(5)) {
        rtpengine_offer("replace-origin replace-session-connection ICE=remove rtcp-mux-demux DTLS=off RTP/AVP");
    } else if (!isflagset(5) && isbflagset(5)) {
        rtpengine_offer("replace-origin replace-session-connection ICE=force rtcp-mux-offer DTLS=passive UDP/TLS/RTP/SAVPF");
    } else {
        rtpengine_offer("replace-origin replace-session-connection");
    }
}

onreply_route[ANSWER] {
    if (!has_body("application/sdp") || !(t_check_status("18[03]") || t_check_status("2[0-9][0-9]"))) return;
    if (isflagset(5) && !isbflagset(5)) {
        rtpengine_answer("replace-origin replace-session-connection ICE=force rtcp-mux-require DTLS=passive UDP/TLS/RTP/SAVPF");
    } else if (!isflagset(5) && isbflagset(5)) {
        rtpengine_answer("replace-origin replace-session-connection ICE=remove rtcp-mux-demux DTLS=off RTP/AVP");
    } else {
        rtpengine_answer("replace-origin replace-session-connection");
    }
    if (nat_uac_test("64")) add_contact_alias();
}

event_route[xhttp:request] {
    set_reply_close();
    set_reply_no_connect();
    if ($hdr(Upgrade) =~ "websocket" && $rm =~ "GET") {
        if (ws_handle_handshake()) exit;
    }
    xhttp_reply("404", "Not Found", "", "");
}

event_route[core:worker-one-init] {
    xlog("L_ERR", "the test proxy is ready\\n");
}
`;
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
