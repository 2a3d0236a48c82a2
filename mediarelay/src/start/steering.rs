//! Whether media ports are steered, or have a socket each.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use viaduct_kmod_helper::{GivenPorts, Refused, Steering};
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
    let given = GivenPorts::gather();
    for ports in addresses().map(|address| address.ports.range()) {
        if given.has_any_of(ports) {
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
