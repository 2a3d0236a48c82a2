//! The texts of the text interface.

use std::fmt::Write as _;

use viaduct_ng::{
    ByteString, CallReport, Counters, Dict, Endpoint, MediaReport, ProxyStatistics, Reply, Statistics,
    StreamFlag, StreamReport, Subscription, TagReport, TotalStatistics, Value,
};
use viaduct_session::{CallSummary, Gauges, PortUsage};

use crate::control::{ControlSnapshot, Outside, Told};

/// What runs, and what has been since the start.
pub(super) fn totals(statistics: &Statistics) -> String {
    let now = &statistics.current;
    let mut text = String::from("\nStatistics over currently running sessions:\n\n");
    for (label, value) in [
        ("Owned sessions", now.sessions_own),
        ("Foreign sessions", now.sessions_foreign),
        ("Total sessions", now.sessions_total),
        ("Transcoded media", now.transcoded_media),
        (
            "Packets per second (userspace)",
            now.packet_rate_user.unwrap_or_default(),
        ),
        (
            "Bytes per second (userspace)",
            now.byte_rate_user.unwrap_or_default(),
        ),
        (
            "Errors per second (userspace)",
            now.error_rate_user.unwrap_or_default(),
        ),
        (
            "Packets per second (kernel)",
            now.packet_rate_kernel.unwrap_or_default(),
        ),
        (
            "Bytes per second (kernel)",
            now.byte_rate_kernel.unwrap_or_default(),
        ),
        (
            "Errors per second (kernel)",
            now.error_rate_kernel.unwrap_or_default(),
        ),
        ("Packets per second (total)", now.packet_rate),
        ("Bytes per second (total)", now.byte_rate),
        ("Errors per second (total)", now.error_rate),
        (
            "Userspace-only media streams",
            now.media_userspace.unwrap_or_default(),
        ),
        ("Kernel-only media streams", now.media_kernel.unwrap_or_default()),
        (
            "Mixed kernel/userspace media streams",
            now.media_mixed.unwrap_or_default(),
        ),
    ] {
        entry(&mut text, label, value);
    }
    text.push_str("\nTotal statistics (does not include current running sessions):\n\n");
    since_start(&mut text, &statistics.total);
    control(&mut text, &statistics.control.proxies);
    text.push('\n');
    text
}

fn since_start(text: &mut String, total: &TotalStatistics) {
    entry(
        text,
        "Uptime of rtpengine",
        format_args!("{} seconds", total.uptime),
    );
    for (label, value) in [
        ("Total managed sessions", total.managed_sessions),
        ("Total rejected sessions", total.rejected_sessions),
        ("Total timed-out sessions via TIMEOUT", total.timeout_sessions),
        (
            "Total timed-out sessions via SILENT_TIMEOUT",
            total.silent_timeout_sessions,
        ),
        (
            "Total timed-out sessions via FINAL_TIMEOUT",
            total.final_timeout_sessions,
        ),
        (
            "Total timed-out sessions via OFFER_TIMEOUT",
            total.offer_timeout_sessions,
        ),
        (
            "Total regular terminated sessions",
            total.regular_terminated_sessions,
        ),
        (
            "Total forced terminated sessions",
            total.forced_terminated_sessions,
        ),
        (
            "Total relayed packets (userspace)",
            total.relayed_packets_user.unwrap_or_default(),
        ),
        (
            "Total relayed packet errors (userspace)",
            total.relayed_packet_errors_user.unwrap_or_default(),
        ),
        (
            "Total relayed bytes (userspace)",
            total.relayed_bytes_user.unwrap_or_default(),
        ),
        (
            "Total relayed packets (kernel)",
            total.relayed_packets_kernel.unwrap_or_default(),
        ),
        (
            "Total relayed packet errors (kernel)",
            total.relayed_packet_errors_kernel.unwrap_or_default(),
        ),
        (
            "Total relayed bytes (kernel)",
            total.relayed_bytes_kernel.unwrap_or_default(),
        ),
        ("Total relayed packets", total.relayed_packets),
        ("Total relayed packet errors", total.relayed_packet_errors),
        ("Total relayed bytes", total.relayed_bytes.unwrap_or_default()),
        (
            "Total number of streams with no relayed packets",
            total.zero_way_streams,
        ),
        ("Total number of 1-way streams", total.one_way_streams),
    ] {
        entry(text, label, value);
    }
    entry(
        text,
        "Average call duration",
        format_args!("{} seconds", total.average_call_duration),
    );
}

/// Commands by client, a line for each.
fn control(text: &mut String, proxies: &[ProxyStatistics]) {
    const COLUMNS: [(&str, &str); 8] = [
        ("Ping", "pingcount"),
        ("Offer", "offercount"),
        ("Answer", "answercount"),
        ("Delete", "deletecount"),
        ("Query", "querycount"),
        ("List", "listcount"),
        ("Stats", "statisticscount"),
        ("Error", "errorcount"),
    ];
    text.push_str("\n\nControl statistics:\n\n");
    let _ = write!(text, " {:>20} ", "Proxy");
    for (title, _) in COLUMNS {
        let _ = write!(text, "| {title:>10} ");
    }
    text.push('\n');
    for proxy in proxies {
        let _ = write!(text, " {:>20} ", proxy.proxy.to_text());
        for (_, key) in COLUMNS {
            let count = match key {
                "errorcount" => i64::try_from(proxy.errors).unwrap_or(i64::MAX),
                _ => proxy
                    .rest
                    .get(key)
                    .and_then(Value::to_integer)
                    .unwrap_or_default(),
            };
            let _ = write!(text, "| {count:>10} ");
        }
        text.push('\n');
    }
}

fn entry(text: &mut String, label: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, " {label:<48}:{value}");
}

/// How many calls there are.
pub(super) fn num_sessions(gauges: &Gauges) -> String {
    let calls = gauges.calls;
    let mut text = String::new();
    for (label, count) in [
        ("sessions own", calls),
        ("sessions foreign", 0),
        ("sessions total", calls),
        ("transcoded media", 0),
        ("sessions ipv4 only media", gauges.calls_ipv4),
        ("sessions ipv6 only media", gauges.calls_ipv6),
        // rtpengine has two blanks there.
        ("sessions ip mixed  media", gauges.calls_mixed),
    ] {
        let _ = writeln!(text, "Current {label}: {count}");
    }
    text
}

/// Characters of a name that are shown; all of those that the relay stores by default.
const NAME_CHARS: usize = 1_024;

fn shown(name: &ByteString) -> String {
    crate::shown::shown(&name.to_text(), NAME_CHARS)
}

/// The list of calls when there are none.
pub(super) const NO_SESSIONS: &str = "No sessions.\n";

/// One line of the list of calls.
pub(super) fn session_line(text: &mut String, call: &CallSummary) {
    let _ = writeln!(
        text,
        "callid: {:>60} | deletionmark:{:>4} | created:{:>12} | proxy:{} | redis_keyspace:0 | foreign:no",
        shown(&call.call_id),
        deletion_mark(call),
        call.created.as_secs(),
        proxy(call)
    );
}

/// One call with all that is known of it.
pub(super) fn session(call: &CallSummary, report: &CallReport) -> String {
    let mut text = format!(
        "\ncallid: {}\ndeletionmark: {}\ncreated: {}\nproxy: {}\ntos: {}\nlast_signal: {}\nredis_keyspace: 0\nforeign: \
         no\n\n",
        shown(&call.call_id),
        deletion_mark(call),
        report.created,
        proxy(call),
        call.tos.map_or("default".to_owned(), |tos| tos.to_string()),
        report.last_signal
    );
    for (_, tag) in &report.tags.0 {
        party(&mut text, tag);
    }
    text.push('\n');
    text
}

fn deletion_mark(call: &CallSummary) -> &'static str {
    if call.is_deleted { "yes" } else { "no" }
}

/// Who sent the first offer.
fn proxy(call: &CallSummary) -> String {
    call.client
        .map_or("(this process)".to_owned(), |client| client.to_string())
}

/// A call that is not there.
pub(super) fn unknown(call_id: &ByteString) -> String {
    format!("\nCall Id not found ({}).\n\n", shown(call_id))
}

/// The kernel forwards nothing here; the line of the start, or that of the loss, says why.
pub(super) const NO_KERNEL_PATH: &str = "There is no kernel path: workers forward everything.\n";

/// Where the flows of all calls are, and how ports are held.
pub(super) fn kernel(counts: &ControlSnapshot) -> String {
    let ports = if counts.steering > 0 {
        format!(
            "Media ports: steered to one socket of each worker, {} of calls now\n{}",
            counts.ports_steered,
            if counts.frames > 0 {
                "Interfaces hand frames to workers.\n"
            } else {
                ""
            }
        )
    } else {
        "Media ports: each with a socket of its own\n".to_owned()
    };
    if counts.kernel_path == 0 {
        return NO_KERNEL_PATH.to_owned() + &ports;
    }
    let mut text = format!("In the kernel: {} flows\n", counts.kernel_flows);
    for (why, count) in Outside::ALL.iter().zip(counts.kernel_outside) {
        if count > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "In user space: {count} flows, since {}", why.text());
        }
    }
    text + &ports
}

/// Where the flows of one call are.
pub(super) fn flows(flows: &[Told]) -> String {
    let mut text = String::new();
    for Told {
        key,
        outside,
        counters,
    } in flows
    {
        // Writing to a String cannot fail.
        let _ = match outside {
            None => writeln!(text, "{key}: in the kernel, {} RTP packets", counters.rtp_packets),
            Some(why) => writeln!(text, "{key}: in user space, since {}", why.text()),
        };
    }
    if flows.is_empty() {
        text.push_str("No media flows yet.\n");
    }
    text
}

/// So many calls were ended.
pub(super) fn terminated(calls: usize) -> String {
    format!("Sessions terminated: {calls}\n")
}

fn party(text: &mut String, tag: &TagReport) {
    let or_nothing = |name: &Option<ByteString>| name.as_ref().map_or(String::new(), shown);
    let _ = writeln!(
        text,
        "--- Tag '{}', label '{}', branch '{}', created {}",
        shown(&tag.tag),
        or_nothing(&tag.label),
        or_nothing(&tag.via_branch),
        tag.created
    );
    for Subscription { tag, .. } in &tag.subscriptions {
        let _ = writeln!(text, "---     subscribed to '{}'", shown(tag));
    }
    for Subscription { tag, .. } in &tag.subscribers {
        let _ = writeln!(text, "---     subscription of '{}'", shown(tag));
    }
    for media_report in &tag.medias {
        media(text, media_report);
    }
}

fn media(text: &mut String, media: &MediaReport) {
    let protocol = media
        .protocol
        .as_ref()
        .map_or("unknown protocol".to_owned(), shown);
    let codec = media.codec.as_ref().map_or("unknown codec".to_owned(), shown);
    let _ = writeln!(
        text,
        "------ Media #{} ({} over {protocol}) using {codec}",
        media.index,
        shown(&media.kind)
    );
    for stream_report in &media.streams {
        stream(text, stream_report);
    }
}

fn stream(text: &mut String, stream: &StreamReport) {
    let local = address(stream.local_address.as_ref(), stream.local_port);
    let Endpoint {
        address: remote,
        port,
        ..
    } = &stream.endpoint;
    let remote = address(remote.as_ref(), *port);
    let is_rtcp =
        stream.flags.known.contains(StreamFlag::Rtcp) && !stream.flags.known.contains(StreamFlag::Rtp);
    let kind = if is_rtcp { " (RTCP)" } else { "" };
    let Counters {
        packets,
        bytes,
        errors,
        ..
    } = stream.stats;
    let _ = writeln!(
        text,
        "-------- Port {local:>21} <> {remote:>21}{kind}, SSRC {:x}, {packets} p, {bytes} b, {errors} e, {} ts",
        stream.ssrc.unwrap_or_default(),
        stream.last_packet
    );
}

fn address(ip: Option<&viaduct_ng::ByteString>, port: Option<u64>) -> String {
    let ip = ip.map(|ip| ip.to_text());
    match (ip, port) {
        (Some(ip), Some(port)) if ip.contains(':') => format!("[{ip}]:{port}"),
        (Some(ip), Some(port)) => format!("{ip}:{port}"),
        _ => ":0".to_owned(),
    }
}

/// The limit on calls.
pub(super) fn max_sessions(max: Option<usize>) -> String {
    let max = max.map_or("-1".to_owned(), |max| max.to_string());
    format!("Maximum sessions configured on rtpengine: {max}\n")
}

/// The ports of one address.
pub(super) fn interface(text: &mut String, name: &str, usage: &PortUsage) {
    let (first, last) = (usage.ports.range().start(), usage.ports.range().end());
    let family = if usage.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let (used, total) = (2 * usage.used, 2 * usage.total);
    let percent = if total == 0 {
        0.0
    } else {
        used as f64 * 100.0 / total as f64
    };
    let _ = writeln!(
        text,
        "Interface '{name}' address '{}' ({family})\n Port range: {first:>5} - {last:>5}\n Ports used: {used:>5} / \
         {total:>5} ({percent:>5.1}%)",
        usage.address
    );
}

/// The same for programs.
pub(super) fn json_interface(name: &str, usage: &PortUsage) -> Value {
    let (first, last) = (*usage.ports.range().start(), *usage.ports.range().end());
    let number = |count: usize| Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    let (used, total) = (2 * usage.used, 2 * usage.total);
    let mut ports = Dict::new();
    for (key, count) in [
        ("min", usize::from(first)),
        ("max", usize::from(last)),
        ("used", used),
        ("free", total.saturating_sub(used)),
        ("totals", total),
    ] {
        ports.insert(key, number(count));
    }
    let mut interface = Dict::new();
    interface.insert("name", Value::text(name));
    interface.insert("address", Value::text(usage.address.to_string()));
    interface.insert("ports", Value::Dict(ports));
    Value::Dict(interface)
}

/// A reply that does not fit its command.
pub(super) fn unexpected(reply: &Reply) -> String {
    match reply {
        Reply::Error { reason } => format!("{reason}.\n"),
        Reply::LoadLimit { message } => format!("{message}.\n"),
        Reply::Pong | Reply::Ok(_) => "No answer.\n".to_owned(),
    }
}
