//! The gateway of spandsp: modems that speak T.30 with a fax machine, as IFP packets on the other side.
//!
//! spandsp is opened while the program runs, under the name that its version 0.0.6 has. Later ones have other functions under
//! the same names, and another name themselves: they are not tried.

use std::collections::VecDeque;
use std::error::Error;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use crate::ifp::{IfpError, whole};
use crate::parameters::{Options, Parameters, RateManagement};
use crate::udptl::IFP_MAX;

/// The file of spandsp 0.0.6, which the linker of the system finds. Debian has it in `libspandsp2`.
pub const FILE: &str = "libspandsp.so.2";

/// Samples that are handed over at a time, a second: spandsp counts in an `int`.
const SAMPLES_MAX: usize = 8_000;
/// Packets that may wait to be sent. There are 50 a second at most, three times that when they are repeated.
const WAITING_MAX: usize = 256;

const FALSE: c_int = 0;
const TRUE: c_int = 1;
/// `T38_TRANSPORT_UDPTL`.
const UDPTL: c_int = 0;
/// `T38_DATA_RATE_MANAGEMENT_LOCAL_TCF` and `T38_DATA_RATE_MANAGEMENT_TRANSFERRED_TCF`.
const LOCAL_TCF: c_int = 1;
const TRANSFERRED_TCF: c_int = 2;
/// `T30_SUPPORT_V27TER` and its siblings.
const V27TER: c_int = 0x01;
const V29: c_int = 0x02;
const V17: c_int = 0x04;
const V34: c_int = 0x08;
const IAF: c_int = 0x10;

/// `t38_tx_packet_handler_t`: core, what was given with it, octets, their number, and how often the packet is to be sent.
// SAFETY: a type has no conditions; `on_packet` names them.
type OnPacket = unsafe extern "C" fn(*mut c_void, *mut c_void, *const u8, c_int, c_int) -> c_int;

/// `t38_stats_t`, with room for more than version 0.0.6 writes.
#[repr(C)]
#[derive(Default)]
struct RawStatistics {
    bit_rate: c_int,
    error_correcting_mode: c_int,
    pages_transferred: c_int,
    room: [c_int; 13],
}

/// Declares the functions that are needed: all are looked up when the library is opened, or none is.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        struct Functions {
            $(
                // SAFETY: a type has no conditions; whoever calls names them.
                $name: unsafe extern "C" fn($($argument),*) $(-> $answer)?,
            )*
        }

        impl Functions {
            fn find(library: &libloading::Library) -> Result<Self, LoadError> {
                Ok(Self {
                    $(
                        $name: {
                            // SAFETY: the type is that of the declaration in spandsp's headers of 0.0.6, and the name of the
                            // file vouches for the version. The pointer lives in `Loaded` beside the library.
                            let found = unsafe { library.get(stringify!($name).as_bytes()) };
                            *found.map_err(|_| LoadError::Function(stringify!($name)))?
                        },
                    )*
                })
            }
        }
    };
}

functions! {
    t38_gateway_init(*mut c_void, OnPacket, *mut c_void) -> *mut c_void;
    t38_gateway_free(*mut c_void) -> c_int;
    t38_gateway_get_t38_core_state(*mut c_void) -> *mut c_void;
    t38_gateway_rx(*mut c_void, *mut i16, c_int) -> c_int;
    t38_gateway_rx_fillin(*mut c_void, c_int) -> c_int;
    t38_gateway_tx(*mut c_void, *mut i16, c_int) -> c_int;
    t38_gateway_set_ecm_capability(*mut c_void, c_int);
    t38_gateway_set_transmit_on_idle(*mut c_void, c_int);
    t38_gateway_set_supported_modems(*mut c_void, c_int);
    t38_gateway_set_fill_bit_removal(*mut c_void, c_int);
    t38_gateway_get_transfer_statistics(*mut c_void, *mut RawStatistics);
    t38_core_rx_ifp_packet(*mut c_void, *const u8, c_int, u16) -> c_int;
    t38_set_t38_version(*mut c_void, c_int);
    t38_set_data_transport_protocol(*mut c_void, c_int);
    t38_set_data_rate_management_method(*mut c_void, c_int);
    t38_set_fill_bit_removal(*mut c_void, c_int);
    t38_set_max_buffer_size(*mut c_void, c_int);
    t38_set_max_datagram_size(*mut c_void, c_int);
    t38_set_sequence_number_handling(*mut c_void, c_int);
}

/// Why there is no spandsp.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there, or cannot be opened.
    #[error("{FILE} cannot be opened (Debian has it in libspandsp2): {}", reason(.0))]
    Open(libloading::Error),
    /// It lacks this function.
    #[error("{FILE} has no function {0}")]
    Function(&'static str),
}

/// What the linker of the system says: the error itself only says that it said something.
fn reason(error: &libloading::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Why there is no gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GatewayError {
    /// spandsp has none to give: there is no memory.
    #[error("spandsp makes no gateway")]
    Refused,
}

/// spandsp, opened. Clones share it, and the last one, or the last [`Gateway`], closes it.
#[derive(Clone)]
pub struct Library(Arc<Loaded>);

struct Loaded {
    functions: Functions,
    /// What the functions are in.
    _library: libloading::Library,
}

impl fmt::Debug for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Library").field(&FILE).finish()
    }
}

impl Library {
    /// Opens spandsp, wherever the linker of the system finds it, and looks for all that is needed of it. It reads files, so
    /// it is something to do once, when a program starts.
    ///
    /// # Errors
    /// [`LoadError`], where it is not installed, or is not the spandsp that is known here.
    pub fn load() -> Result<Self, LoadError> {
        // SAFETY: what runs when the file is opened is that of spandsp and of the libraries that it needs (libtiff, libjpeg),
        // which set up nothing that others can notice.
        let library = unsafe { libloading::Library::new(FILE) }.map_err(LoadError::Open)?;
        let functions = Functions::find(&library)?;
        Ok(Self(Arc::new(Loaded {
            functions,
            _library: library,
        })))
    }
}

/// A packet that the gateway sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Packet {
    /// IFP.
    pub ifp: Vec<u8>,
    /// How often it is to be sent under one number. What nothing follows for a while, and could so not be mended, goes three
    /// times.
    pub copies: u32,
}

/// Packets that wait to be sent. spandsp has a pointer to it.
#[derive(Default)]
struct Waiting {
    packets: VecDeque<Packet>,
    dropped: u64,
}

/// What became of a fax so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Statistics {
    /// Bits a second of the image; 0 before there is one.
    pub bit_rate: u32,
    /// Whether it goes with error correction mode.
    pub ecm: bool,
    /// Pages that the receiving machine confirmed.
    pub pages: u32,
}

/// A gateway between a fax machine's audio, 8,000 samples a second, and IFP packets.
///
/// Its time is that of the samples: for every sample that is due, one is to be heard or missed, and one said.
pub struct Gateway {
    library: Library,
    /// `t38_gateway_state_t`, ours until it is freed.
    state: NonNull<c_void>,
    /// `t38_core_state_t`, a part of the above.
    core: NonNull<c_void>,
    /// From a box, freed after the state. Nobody but [`on_packet`] and methods that are not within a call of spandsp's use it.
    waiting: NonNull<Waiting>,
    version: u8,
}

// SAFETY: the state belongs to this value alone, and spandsp ties none to a thread: what its modules share are tables that do
// not change, and settings of logging and of memory that nothing here touches.
unsafe impl Send for Gateway {}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut formatter = formatter.debug_struct("Gateway");
        formatter.field("version", &self.version).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway for what was agreed on ([`Parameters::with`]) and what is allowed.
    ///
    /// A bit rate below that of V.17 or V.29 forbids these, because spandsp uses a modem at all its rates.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn new(library: &Library, agreed: &Parameters, options: &Options) -> Result<Self, GatewayError> {
        let functions = &library.0.functions;
        let waiting = NonNull::from(Box::leak(Box::<Waiting>::default()));
        // SAFETY: without a state of ours spandsp allocates one. The handler has the type that it expects, and the pointer that
        // it is called with stays valid until the state is freed.
        let state = unsafe { (functions.t38_gateway_init)(null_mut(), on_packet, waiting.as_ptr().cast()) };
        let Some(state) = NonNull::new(state) else {
            // SAFETY: the pointer is that of the box above, and spandsp has nothing that could use it.
            drop(unsafe { Box::from_raw(waiting.as_ptr()) });
            return Err(GatewayError::Refused);
        };
        // SAFETY: the state was made above. Its core is a part of it, and never null.
        let core = unsafe { (functions.t38_gateway_get_t38_core_state)(state.as_ptr()) };
        // From here on, dropping it frees the rest.
        let gateway = Self {
            library: library.clone(),
            state,
            core: NonNull::new(core).unwrap_or(state),
            waiting,
            version: agreed.version,
        };
        if core.is_null() {
            return Err(GatewayError::Refused);
        }
        gateway.set_up(agreed, options);
        Ok(gateway)
    }

    fn set_up(&self, agreed: &Parameters, options: &Options) {
        let functions = &self.library.0.functions;
        let allowed = [
            (options.v27ter, V27TER),
            (options.v29 && agreed.max_bit_rate >= 9_600, V29),
            (options.v17 && agreed.max_bit_rate >= 14_400, V17),
            (options.v34 && agreed.max_bit_rate >= 33_600, V34),
            (options.iaf, IAF),
        ];
        let modems = allowed
            .iter()
            .filter(|(is, _)| *is)
            .fold(0, |all, (_, modem)| all | modem);
        let rate_management = match agreed.rate_management {
            RateManagement::Local => LOCAL_TCF,
            RateManagement::Transferred => TRANSFERRED_TCF,
        };
        let (state, core) = (self.state.as_ptr(), self.core.as_ptr());
        // SAFETY: the state and its core live as long as this value. All of these store a number in them and do nothing else.
        unsafe {
            (functions.t38_gateway_set_ecm_capability)(state, c_int::from(options.ecm));
            (functions.t38_gateway_set_transmit_on_idle)(state, TRUE);
            (functions.t38_gateway_set_supported_modems)(state, modems);
            (functions.t38_gateway_set_fill_bit_removal)(state, c_int::from(agreed.fill_bit_removal));
            (functions.t38_set_data_transport_protocol)(core, UDPTL);
            (functions.t38_set_t38_version)(core, c_int::from(agreed.version));
            (functions.t38_set_data_rate_management_method)(core, rate_management);
            (functions.t38_set_fill_bit_removal)(core, c_int::from(agreed.fill_bit_removal));
            (functions.t38_set_max_buffer_size)(core, int(agreed.max_buffer));
            (functions.t38_set_max_datagram_size)(core, int(agreed.max_datagram));
            (functions.t38_set_sequence_number_handling)(core, TRUE);
        }
    }

    /// Hears what the fax machine says. The samples are not fit for anything else afterwards: a constant part is taken out of
    /// them.
    pub fn hear(&mut self, samples: &mut [i16]) {
        for samples in samples.chunks_mut(SAMPLES_MAX) {
            // SAFETY: the state is valid, and the pointer and the length are those of a slice.
            unsafe {
                let length = samples.len() as c_int;
                (self.library.0.functions.t38_gateway_rx)(self.state.as_ptr(), samples.as_mut_ptr(), length);
            }
        }
    }

    /// Lets the time of samples go by that did not come. More than a second's count as that.
    pub fn miss(&mut self, samples: usize) {
        let samples = samples.min(SAMPLES_MAX) as c_int;
        // SAFETY: the state is valid, and there are no samples.
        unsafe { (self.library.0.functions.t38_gateway_rx_fillin)(self.state.as_ptr(), samples) };
    }

    /// Fills all of `out` with what the fax machine is to hear: silence where there is nothing to say.
    pub fn say(&mut self, out: &mut [i16]) {
        for out in out.chunks_mut(SAMPLES_MAX) {
            // SAFETY: the state is valid, and the pointer and the length are those of a slice, of which no more is written.
            let said = unsafe {
                let length = out.len() as c_int;
                (self.library.0.functions.t38_gateway_tx)(self.state.as_ptr(), out.as_mut_ptr(), length)
            };
            let said = usize::try_from(said).unwrap_or(0).min(out.len());
            out[said..].fill(0);
        }
    }

    /// Takes an IFP packet that came in, each once and in order, with the number it came under: spandsp fills in for those
    /// between.
    ///
    /// # Errors
    /// [`IfpError`] for what is no packet, of which spandsp sees nothing, or is refused by spandsp.
    pub fn receive(&mut self, sequence: u16, ifp: &[u8]) -> Result<(), IfpError> {
        let ifp = whole(ifp, self.version)?;
        // SAFETY: the core is valid, and the pointer and the length are those of a slice that is at most `IFP_MAX` long.
        let taken = unsafe {
            let length = ifp.len() as c_int;
            (self.library.0.functions.t38_core_rx_ifp_packet)(
                self.core.as_ptr(),
                ifp.as_ptr(),
                length,
                sequence,
            )
        };
        if taken == 0 {
            Ok(())
        } else {
            Err(IfpError::Refused)
        }
    }

    /// The packets that are to be sent by now, in order. The next number of UDPTL is for the next of them.
    pub fn sent(&mut self) -> impl Iterator<Item = Packet> {
        // SAFETY: nobody else has a reference: spandsp uses its pointer only within calls, which need this value as well.
        let waiting = unsafe { self.waiting.as_mut() };
        waiting.packets.drain(..)
    }

    /// Packets that were not sent because nobody asked for them in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        // SAFETY: as in `sent`, and nothing is changed through this reference.
        unsafe { self.waiting.as_ref() }.dropped
    }

    /// What became of the fax so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut raw = RawStatistics::default();
        // SAFETY: the state is valid, is only read, and the structure has room for what is written.
        unsafe {
            let get = self.library.0.functions.t38_gateway_get_transfer_statistics;
            get(self.state.as_ptr(), &raw mut raw);
        }
        Statistics {
            bit_rate: u32::try_from(raw.bit_rate).unwrap_or(0),
            ecm: raw.error_correcting_mode != FALSE,
            pages: u32::try_from(raw.pages_transferred).unwrap_or(0),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SAFETY: both are ours, and nothing uses them after this. spandsp goes first, for it has a pointer to the other.
        unsafe {
            (self.library.0.functions.t38_gateway_free)(self.state.as_ptr());
            drop(Box::from_raw(self.waiting.as_ptr()));
        }
    }
}

/// What spandsp calls with a packet to send. Nothing in here panics: there is nobody in C to catch it.
///
/// # Safety
/// `waiting` is null, or a [`Waiting`] that nobody has a reference to; `octets` is null, or as many octets as `length` says.
unsafe extern "C" fn on_packet(
    _core: *mut c_void,
    waiting: *mut c_void,
    octets: *const u8,
    length: c_int,
    copies: c_int,
) -> c_int {
    let length = usize::try_from(length).unwrap_or(0);
    if octets.is_null() || waiting.is_null() || length == 0 || length > IFP_MAX {
        return -1;
    }
    // SAFETY: spandsp passes what it was given for this gateway, which lives as long; and calls from within methods that have
    // the gateway to themselves and hold no reference to this.
    let waiting = unsafe { &mut *waiting.cast::<Waiting>() };
    if waiting.packets.len() >= WAITING_MAX {
        waiting.dropped += 1;
        return 0;
    }
    // SAFETY: spandsp's buffer has as many octets as it says.
    let ifp = unsafe { std::slice::from_raw_parts(octets, length) }.to_vec();
    // Packets that are not to be sent at all have no number either.
    let copies = u32::try_from(copies).unwrap_or(0);
    if copies > 0 {
        waiting.packets.push_back(Packet { ifp, copies });
    }
    0
}

fn int(number: u32) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(waiting: &mut Waiting, ifp: &[u8], copies: c_int) -> c_int {
        let waiting = std::ptr::from_mut(waiting).cast();
        // SAFETY: the only reference has become this pointer, and the pointer and the length are those of a slice.
        unsafe { on_packet(null_mut(), waiting, ifp.as_ptr(), ifp.len() as c_int, copies) }
    }

    #[test]
    fn packets_that_nobody_asks_for_are_dropped_and_counted() {
        let mut waiting = Waiting::default();
        for at in 0..WAITING_MAX + 3 {
            assert_eq!(sends(&mut waiting, &[4, at as u8], 3), 0);
        }
        assert_eq!((waiting.packets.len(), waiting.dropped), (WAITING_MAX, 3));
        let first = waiting.packets.pop_front().unwrap();
        assert_eq!((&first.ifp[..], first.copies), (&[4, 0][..], 3));
    }

    #[test]
    fn what_is_no_packet_is_not_sent() {
        let mut waiting = Waiting::default();
        assert_eq!(sends(&mut waiting, &[], 1), -1);
        assert_eq!(sends(&mut waiting, &[0; IFP_MAX + 1], 1), -1);
        for copies in [0, -1] {
            assert_eq!(sends(&mut waiting, &[4], copies), 0);
        }
        let to = std::ptr::from_mut(&mut waiting).cast();
        // SAFETY: the only reference has become this pointer, and there are no octets.
        let refused = unsafe { on_packet(null_mut(), to, std::ptr::null(), 5, 1) };
        // SAFETY: there is nowhere to write.
        let nowhere = unsafe { on_packet(null_mut(), null_mut(), [4].as_ptr(), 1, 1) };
        assert_eq!((refused, nowhere), (-1, -1));
        assert!(waiting.packets.is_empty() && waiting.dropped == 0);
    }

    #[test]
    fn a_gateway_may_move_between_threads() {
        fn is_send<T: Send>() {}
        fn is_sync<T: Sync>() {}
        is_send::<Gateway>();
        is_send::<Library>();
        is_sync::<Library>();
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        // SAFETY: there is no such file, so nothing runs.
        let error = unsafe { libloading::Library::new("libviaduct-none.so.0") }.unwrap_err();
        let text = LoadError::Open(error).to_string();
        assert!(
            text.starts_with("libspandsp.so.2 cannot be opened (Debian has it in libspandsp2)"),
            "{text}"
        );
    }
}
