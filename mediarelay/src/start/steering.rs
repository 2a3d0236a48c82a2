//! Whether media ports are steered, or have a socket each.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use viaduct_kmod_helper::{Fast, FrameCount, FramesAt, GivenPorts, NextHops, Refused, Steering};
use viaduct_settings::SteeringMode;

use crate::claim::{Claims, PortClaim, Use};
use crate::config::RelayConfig;
use crate::control::{Hops, SteeringPlan};
use crate::interfaces::MediaInterface;
use crate::lane::Lane;
use crate::socket::SocketOptions;
use crate::start_error::StartError;
use crate::worker::{FramesPlan, HopClock};

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
    /// What workers have of interfaces that hand on frames, one for each worker; none where there are no such interfaces.
    pub(super) frames: Vec<FramesPlan>,
    /// What other relays of this host see.
    pub(super) claims: Claims,
    /// How they are held and why, in a few words.
    pub(super) words: String,
    /// Which interfaces hand frames on, and why others do not, in a line each.
    pub(super) of_frames: Vec<String>,
}

impl Holding {
    /// Lets interfaces that hand on frames forward those of the kernel's flows themselves.
    pub(super) fn forward_frames(&mut self, fast: &mut Fast) {
        let Some(plan) = self.plan.as_mut().filter(|plan| plan.hops.is_some()) else {
            return;
        };
        self.of_frames.push(match plan.program.forward_frames(fast) {
            Ok(()) => "frames of flows in the kernel are forwarded where they come in".to_owned(),
            Err(refused) => format!("flows in the kernel are forwarded as packets: {refused}"),
        });
    }
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
            Ok(mut plan) => {
                let (frames, of_frames) = hand_on(config, interfaces, workers, &mut plan);
                return Ok(Holding {
                    plan: Some(plan),
                    frames,
                    claims,
                    words: "steered to one socket of each worker".to_owned(),
                    of_frames,
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
            frames: Vec::new(),
            claims,
            words: format!("each with a socket of its own{why}"),
            of_frames: without_steering(config),
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
    let ears: Vec<BorrowedFd<'_>> = lanes.iter().flatten().map(|lane| lane.ears()).collect();
    let program = Steering::open(u32::try_from(distinct.len()).unwrap_or(u32::MAX), &ears)
        .map_err(NoSteering::Program)?;
    Ok(SteeringPlan {
        program,
        lanes,
        frame_losses: Vec::new(),
        hops: None,
    })
}

/// What else the settings ask for that steering is needed for.
fn without_steering(config: &RelayConfig) -> Vec<String> {
    let names = config.media.frame_interfaces.iter();
    names
        .map(|name| format!("no frames of {name}: media ports are not steered"))
        .collect()
}

/// Lets interfaces hand on their frames, if the settings name any. What each worker has of that, and what came of it in lines.
fn hand_on(
    config: &RelayConfig,
    interfaces: &[MediaInterface],
    workers: usize,
    plan: &mut SteeringPlan,
) -> (Vec<FramesPlan>, Vec<String>) {
    let names = &config.media.frame_interfaces;
    let limits = &config.limits.shell;
    if names.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let finder = match NextHops::open(limits.next_hops) {
        Ok(finder) => finder,
        Err(error) => return (Vec::new(), vec![format!("no frames: {error}")]),
    };
    let mut of_workers: Vec<Vec<FramesAt>> = (0..workers).map(|_| Vec::new()).collect();
    let (mut lines, mut is_any) = (Vec::new(), false);
    for name in names {
        let handed = plan
            .program
            .hand_on(name, workers, FrameCount::new(limits.frames));
        let said = match handed {
            Ok(sockets) => {
                is_any = true;
                of_workers
                    .iter_mut()
                    .zip(sockets)
                    .for_each(|(all, new)| all.extend(new));
                format!("frames of {name} go to workers")
            }
            Err(refused) => format!("no frames of {name}: {refused}"),
        };
        lines.push(said);
    }
    if !is_any {
        return (Vec::new(), lines);
    }
    let sockets = of_workers.iter().flatten();
    plan.frame_losses = sockets.filter_map(|at| at.socket.losses().ok()).collect();
    if let Some(port) = config.media.browser_port {
        for address in interfaces.iter().flat_map(|interface| &interface.addresses) {
            // Otherwise they take their way through the kernel.
            let local = SocketAddr::new(address.address, port);
            if let Err(error) = plan.program.spread(local) {
                tracing::debug!("frames for {local} stay with the kernel: {error}");
            }
        }
    }
    let clock = HopClock::default();
    plan.hops = Some(Hops::new(Instant::now(), finder, clock.clone()));
    let plans = of_workers.into_iter().map(|sockets| FramesPlan {
        sockets,
        clock: clock.clone(),
        hops_max: limits.next_hops,
    });
    (plans.collect(), lines)
}
