//! Kamailio as a registrar and proxy: the same work, in as plain a script as does it.

use std::path::Path;

use super::{Proof, SIP_PORT, write};
use crate::daemon::Launch;
use crate::drive::{ADDRESS, RECEIVE_BUFFER};
use crate::sip::line::{DOMAIN, password, user};

/// Of its three allocators the default one (`qm`) takes half of a call's time; `fm` is the fastest of them.
pub(super) const FAST_ALLOCATOR: [&str; 4] = ["-x", "fm", "-X", "fm"];

/// Shared memory in MiB. Transactions stay in it for five seconds, and the 64 of Debian's unit are full at some 500 calls a
/// second: it then answers 500 (`new_t(): out of mem`), so it does at some 2,000 with 256, and after some seconds of 14,000 with
/// 1024.
const SHARED_MEMORY: &str = "4096";

/// The same memory for each process as Debian's unit gives, in MiB.
const PROCESS_MEMORY: &str = "8";

pub(super) fn prepare(
    name: &str,
    folder: &Path,
    users: usize,
    (proof, allocator): (Proof, &[&str]),
) -> anyhow::Result<Launch> {
    let file = folder.join("kamailio.cfg");
    write(&file, &configuration(users, proof))?;
    let (file, folder) = (file.display().to_string(), folder.display().to_string());
    let buffer = RECEIVE_BUFFER.to_string();
    let mut args = vec!["-DD", "-E", "-f", &file, "-Y", &folder];
    args.extend(["-m", SHARED_MEMORY, "-M", PROCESS_MEMORY, "-b", &buffer]);
    args.extend(allocator);
    Ok(Launch {
        name: name.to_owned(),
        program: "kamailio".into(),
        args: args.into_iter().map(str::to_owned).collect(),
    })
}

/// Eight receiving processes are its default. Locations are kept in memory only. Users' passwords are kept as hashes in a
/// table in memory, as ours are, and nonces may be used once only, as ours may.
fn configuration(users: usize, proof: Proof) -> String {
    let first = user(0);
    // The script makes user N's password as `password` does.
    let prefix = password("");
    // Whoever sends from a trusted address is asked for nothing.
    let trusted = match proof {
        Proof::Address => ADDRESS.to_string(),
        Proof::Digest => "none".to_owned(),
    };
    format!(
        "children=8
auto_aliases=no
alias=\"{DOMAIN}\"
listen=udp:{ADDRESS}:{SIP_PORT}
disable_tcp=yes
max_while_loops=1000000

loadmodule \"kex.so\"
loadmodule \"tm.so\"
loadmodule \"sl.so\"
loadmodule \"rr.so\"
loadmodule \"pv.so\"
loadmodule \"maxfwd.so\"
loadmodule \"textops.so\"
loadmodule \"siputils.so\"
loadmodule \"usrloc.so\"
loadmodule \"registrar.so\"
loadmodule \"auth.so\"
loadmodule \"htable.so\"

modparam(\"usrloc\", \"db_mode\", 0)
modparam(\"registrar\", \"max_expires\", 3600)
modparam(\"auth\", \"nonce_count\", 1)
modparam(\"auth\", \"qop\", \"auth\")
modparam(\"htable\", \"htable\", \"secrets=>size=12;\")

event_route[htable:mod-init] {{
    $var(user) = {first};
    while ($var(user) < {first} + {users}) {{
        $var(secret) = $_s($var(user):{DOMAIN}:{prefix}$var(user));
        $sht(secrets=>$var(user)) = $(var(secret){{s.md5}});
        $var(user) = $var(user) + 1;
    }}
}}

request_route {{
    if (!mf_process_maxfwd_header(\"10\")) {{
        sl_send_reply(\"483\", \"Too Many Hops\");
        exit;
    }}
    if (is_method(\"CANCEL\")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
            exit;
        }}
        if (is_method(\"ACK\")) {{
            if (t_check_trans()) t_relay();
            exit;
        }}
        sl_send_reply(\"404\", \"Not Found\");
        exit;
    }}
    t_check_trans();
    if (is_method(\"REGISTER\")) {{
        if ($si != \"{trusted}\") {{
            if (!has_credentials(\"$td\") || !pv_www_authenticate(\"$td\", \"$sht(secrets=>$au)\", \"1\")) {{
                www_challenge(\"$td\", \"1\");
                exit;
            }}
            if ($au != $tU) {{
                sl_send_reply(\"403\", \"Forbidden\");
                exit;
            }}
        }}
        save(\"location\");
        exit;
    }}
    if (is_method(\"OPTIONS\") && uri == myself) {{
        sl_send_reply(\"200\", \"OK\");
        exit;
    }}
    if (!is_method(\"INVITE\")) {{
        sl_send_reply(\"405\", \"Method Not Allowed\");
        exit;
    }}
    if ($si != \"{trusted}\") {{
        if (!has_credentials(\"$fd\") || !pv_proxy_authenticate(\"$fd\", \"$sht(secrets=>$au)\", \"1\")) {{
            proxy_challenge(\"$fd\", \"1\");
            exit;
        }}
        if ($au != $fU) {{
            sl_send_reply(\"403\", \"Forbidden\");
            exit;
        }}
        consume_credentials();
    }}
    record_route();
    if (!lookup(\"location\")) {{
        sl_send_reply(\"404\", \"Not Found\");
        exit;
    }}
    t_relay();
}}
"
    )
}
