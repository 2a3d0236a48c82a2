// A configuration of Kamailio with a relay behind its rtpengine module: a registrar without passwords that bridges browsers and
// phones, as plain as such a configuration can be.

import { ADDRESS } from './viaduct.mjs';

/** Where a script waits for calls to 204: it does not register. */
export const SCRIPT = `${ADDRESS}:17040`;

/** What each reads: the four rows of the table are its pairs. */
const BROWSER = 'UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require DTLS=passive SDES-off generate-mid';
const PHONE = 'RTP/AVP ICE=remove rtcp-mux-demux DTLS=off';
const ALL = 'replace-origin replace-session-connection';

/**
 * How flags are told.
 * `words`: the module takes the string apart and sends a key for each, as it did until version 6.0.
 * `whole`: the string goes out as it is, in the key `rtpp-flags`, as later versions do (`ng_flags_parse`). Debian's module sends a
 * key that it does not know as it stands, but for blanks, which it parts words at: `SpacedFlags` puts them back.
 */
const STYLES = {
  words: (text) => text,
  whole: (text) => `rtpp-flags=${text.replaceAll(' ', '+')}`,
};

/** The text for Kamailio. */
export function proxy({ http, sip }, ng, style = 'words') {
  const flags = (reader) => STYLES[style](`${ALL} ${reader}`);
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
loadmodule "tmx.so"
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
modparam("rtpengine", "extra_id_pv", "$T_branch_idx")

# Flag 5: a browser has sent the request. Branch flag 5: a browser is to read it. Flag 6: it is one within a call.
request_route {
    if (!mf_process_maxfwd_header("10")) exit;
    if (is_method("CANCEL")) {
        if (t_check_trans()) {
            rtpengine_delete();
            t_relay();
        }
        exit;
    }
    if (proto == WS) {
        force_rport();
        setflag(5);
        if (is_method("REGISTER")) {
            fix_nated_register();
        } else if (is_method("INVITE|UPDATE")) {
            add_contact_alias();
        }
    }
    if (has_totag()) {
        setflag(6);
        if (loose_route()) {
            if (!isdsturiset()) handle_ruri_alias();
            if (is_method("BYE")) rtpengine_delete();
            if ($du =~ "transport=ws") setbflag(5);
            if (is_method("INVITE")) {
                t_on_branch("OFFER");
                t_on_reply("ANSWER");
            }
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
    if ($rU == "204") {
        $ru = "sip:204@${SCRIPT}";
    } else if (!lookup("location")) {
        sl_send_reply("404", "Not Found");
        exit;
    }
    t_on_branch("OFFER");
    t_on_reply("ANSWER");
    t_on_failure("NOBODY");
    t_relay();
}

# Each fork is a party of its own in the call.
branch_route[OFFER] {
    if (!is_method("INVITE") || !has_body("application/sdp")) return;
    $var(branch) = "";
    if (!isflagset(6)) $var(branch) = "via-branch=extra";
    if (isbflagset(5)) {
        rtpengine_offer("${flags(BROWSER)} $var(branch)");
    } else {
        rtpengine_offer("${flags(PHONE)} $var(branch)");
    }
}

onreply_route[ANSWER] {
    if (nat_uac_test("64")) add_contact_alias();
    if (!has_body("application/sdp") || !(t_check_status("18[03]") || t_check_status("2[0-9][0-9]"))) return;
    $var(branch) = "";
    if (!isflagset(6)) $var(branch) = "via-branch=extra";
    if (isflagset(5)) {
        rtpengine_answer("${flags(BROWSER)} $var(branch)");
    } else {
        rtpengine_answer("${flags(PHONE)} $var(branch)");
    }
}

failure_route[NOBODY] {
    rtpengine_delete();
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
