//! Our gateway as a registrar and proxy without a relay.

use std::fmt::Write as _;
use std::path::Path;

use super::{METRICS_PORT, Places, Proof, SIP_PORT, Setup, WEB_PORTS, write};
use crate::daemon::Launch;
use crate::drive::ADDRESS;
use crate::sip::line::{DOMAIN, password, user};

pub(super) fn prepare(
    name: &str,
    places: &Places,
    folder: &Path,
    users: usize,
    (setup, keep): (Setup, &str),
) -> anyhow::Result<Launch> {
    let file = folder.join("gateway.yaml");
    write(&file, &configuration(setup, keep))?;
    write(&folder.join("users.csv"), &table(users))?;
    Ok(Launch {
        name: name.to_owned(),
        program: places.programs.join("viaduct"),
        args: vec!["run".to_owned(), file.display().to_string()],
    })
}

/// Calls and registrations are not logged, as Kamailio logs none. Limits that protect against floods from one address are
/// lifted: here one address is everybody. It has one processor, and so one signalling thread.
fn configuration(setup: Setup, keep: &str) -> String {
    let [ws, wss] = WEB_PORTS;
    let trusted = match setup.proof {
        // Connections of many phones need many addresses of this machine.
        Proof::Address => "\"127.0.0.0/8\"".to_owned(),
        Proof::Digest => String::new(),
    };
    let timers = setup.t1.map_or(String::new(), |t1| {
        let millis = t1.as_millis();
        format!("timers: {{ t1: {millis}ms, d: {}ms }}\n", 64 * millis)
    });
    format!(
        "version: 1
site: {{ domain: {DOMAIN}, state_dir: state }}
listen: [\"sip+udp://{ADDRESS}:{SIP_PORT}\", \"ws://{ADDRESS}:{ws}\", \"wss://{ADDRESS}:{wss}\"]
user_source: {{ file: users.csv }}
auth: {{ trust_from: [{trusted}], origins: any }}
registrations: {{ keep: {keep} }}
relay: {{ mode: none }}
limits:
  requests_per_source: 1000000/1s
  calls: 100000
  calls_per_user: 100
  transactions: 1000000
  connections_per_source: 20000
  new_connections_per_source: 1000000/1s
metrics: {{ listen: \"{ADDRESS}:{METRICS_PORT}\" }}
log: {{ level: warn }}
{timers}"
    )
}

fn table(users: usize) -> String {
    let mut table = "user,secret,name\n".to_owned();
    for index in 0..users {
        let user = user(index);
        // Writing to a String cannot fail.
        let _ = writeln!(table, "{user},{},Phone {index}", password(&user));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_line_with_its_own_password() {
        let table = table(3);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], "100002,secret-of-100002,Phone 2");
    }
}
