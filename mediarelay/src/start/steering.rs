//! Whether media ports are steered, or have a socket each.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use viaduct_kmod_helper::{Refused, Steering};
use viaduct_settings::SteeringMode;

use crate::claim::{Claims, PortClaim, Use};
use crate::config::RelayConfig;
use crate::control::SteeringPlan;
use crate::interfaces::MediaInterface;
use crate::lane::Lane;
use crate::socket::SocketOptions;
use crate::start_error::StartError;

/// Why media ports have a socket each.
#[derive(Debug, thiserror::Error)]
pub enum NoSteering {
    /// The program cannot be loaded or attached.
    #[error(transparent)]
    Program(Refused),
    /// Whole packets cannot be sent.
    #[error("sending from many ports through one socket at {address} (CAP_NET_RAW): {error}")]
    Lane {
        /// At which of our addresses.
        address: IpAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Another relay has some of the ports.
    #[error("{0}")]
    Rival(PortClaim),
    /// Other relays cannot be told of ours.
    #[error("telling other relays of the ports: {0}")]
    Claim(io::Error),
    /// Other programs could get our ports by chance, and would hear nothing there.
    #[error(
        "ports {first} to {last} may be given to any program; keep them for the relay: \
         sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}"
    )]
    NotReserved {
        /// The first port of an interface.
        first: u16,
        /// The last.
        last: u16,
    },
}

/// How ports are held.
pub(super) struct Holding {
    /// What steers them, if they are steered.
    pub(super) plan: Option<SteeringPlan>,
    /// What other relays of this host see.
    pub(super) claims: Claims,
    /// How they are held and why, in a few words.
    pub(super) words: String,
}

/// Finds a way to hold ports.
pub(super) fn begin(
    config: &RelayConfig,
    interfaces: &[MediaInterface],
    workers: usize,
) -> Result<Holding, StartError> {
    let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
    let ports = addresses.map(|address| (address.address, address.ports.range()));
    let failed = StartError::system("telling other relays of the media ports");
    let mode = config.media.steering;
    let why = if mode == SteeringMode::Off {
        String::new()
    } else {
        let mut claims = Claims::new(Use::Steered, ports.clone());
        match steer(config, interfaces, workers, &mut claims) {
            Ok(plan) => {
                return Ok(Holding {
                    plan: Some(plan),
                    claims,
                    words: "steered to one socket of each worker".to_owned(),
                });
            }
            Err(why) if mode == SteeringMode::Required => return Err(StartError::Steering(why)),
            Err(why) => format!(": {why}"),
        }
    };
    let mut claims = Claims::new(Use::Bound, ports);
    claims.hold().map_err(failed)?;
    match claims.rival(&[Use::Steered]) {
        Some(rival) => Err(StartError::PortsSteered(rival)),
        None => Ok(Holding {
            plan: None,
            claims,
            words: format!("each with a socket of its own{why}"),
        }),
    }
}

fn steer(
    config: &RelayConfig,
    interfaces: &[MediaInterface],
    workers: usize,
    claims: &mut Claims,
) -> Result<SteeringPlan, NoSteering> {
    let nobody = |claims: &Claims| match claims.rival(&[Use::Bound, Use::Steered]) {
        Some(rival) => Err(NoSteering::Rival(rival)),
        None => Ok(()),
    };
    // Before anybody hears of it too, so that a relay which is there keeps nobody from starting.
    nobody(claims)?;
    let plan = open(config, interfaces, workers)?;
    claims.hold().map_err(NoSteering::Claim)?;
    nobody(claims)?;
    Ok(plan)
}

fn open(
    config: &RelayConfig,
    interfaces: &[MediaInterface],
    workers: usize,
) -> Result<SteeringPlan, NoSteering> {
    let addresses = || interfaces.iter().flat_map(|interface| &interface.addresses);
    let [given, kept] = ["ip_local_port_range", "ip_local_reserved_ports"].map(|name| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        ranges(&text.unwrap_or_default())
    });
    for ports in addresses().map(|address| address.ports.range()) {
        if !is_ours(ports, &given, &kept) {
            return Err(NoSteering::NotReserved {
                first: *ports.start(),
                last: *ports.end(),
            });
        }
    }
    let limits = &config.limits.shell;
    let options = SocketOptions {
        receive_buffer: limits.steered_receive_buffer,
        send_buffer: limits.steered_send_buffer,
        tos: super::tos(&config.media),
    };
    let distinct: BTreeSet<IpAddr> = addresses().map(|address| address.address).collect();
    let lane = |address: &IpAddr| {
        let lane = Lane::open(*address, &options).map(Arc::new);
        lane.map_err(|error| NoSteering::Lane {
            address: *address,
            error,
        })
    };
    let lanes = |_| distinct.iter().map(lane).collect::<Result<Vec<_>, _>>();
    let lanes = (0..workers).map(lanes).collect::<Result<Vec<_>, _>>()?;
    let ports: usize = addresses().map(|address| address.ports.range().len()).sum();
    let ears: Vec<BorrowedFd<'_>> = lanes.iter().flatten().map(|lane| lane.ears()).collect();
    let ports = u32::try_from(ports).unwrap_or(u32::MAX);
    let program = Steering::open(ports, &ears).map_err(NoSteering::Program)?;
    Ok(SteeringPlan { program, lanes })
}

/// Whether the kernel gives none of these ports to programs that ask for any.
fn is_ours(ports: &RangeInclusive<u16>, given: &[RangeInclusive<u16>], kept: &[RangeInclusive<u16>]) -> bool {
    let is_in = |ranges: &[RangeInclusive<u16>], port| ranges.iter().any(|range| range.contains(&port));
    !ports.clone().any(|port| is_in(given, port) && !is_in(kept, port))
}

/// Ranges as `/proc/sys/net/ipv4` has them: `32768 60999`, or `3480,30000-39999`.
fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let text = text.trim();
    if let Some((first, last)) = text.split_once(char::is_whitespace) {
        return range(first, last).into_iter().collect();
    }
    let ranges = text.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        range(first, last)
    });
    ranges.collect()
}

fn range(first: &str, last: &str) -> Option<RangeInclusive<u16>> {
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(ports: RangeInclusive<u16>, given: &str, kept: &str) -> bool {
        super::is_ours(&ports, &ranges(given), &ranges(kept))
    }

    #[test]
    fn ports_are_ours_when_the_kernel_gives_them_to_nobody() {
        let given = "32768\t60999\n";
        assert!(is_ours(20_000..=29_999, given, "\n"));
        assert!(!is_ours(30_000..=39_999, given, "\n"));
        assert!(is_ours(30_000..=39_999, given, "3480,30000-39999\n"));
        assert!(is_ours(30_000..=39_999, given, "30000-34999,35000-39999"));
        assert!(!is_ours(30_000..=39_999, given, "30000-39998"));
        assert!(!is_ours(40_000..=40_001, given, "40000"));
        assert!(!is_ours(60_999..=61_000, given, "x,,-"));
        assert!(is_ours(61_000..=61_001, given, ""));
    }
}
