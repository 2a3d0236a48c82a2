//! Fax machines out of spandsp: one that speaks over a telephone line, and one that speaks T.38.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{NonNull, null, null_mut};
use std::sync::LazyLock;

use viaduct_fax::spandsp::{FILE, Packet};

type OnPacket = extern "C" fn(*mut c_void, *mut c_void, *const u8, c_int, c_int) -> c_int;
type OnEnd = extern "C" fn(*mut c_void, *mut c_void, c_int);

/// `t30_stats_t` as numbers, with room.
pub(crate) type RawStatistics = [c_int; 32];
const PAGES_SENT: usize = 2;
const PAGES_RECEIVED: usize = 3;
const BAD_ROWS: usize = 11;

/// What `T30_SUPPORT_...` means: rows of 3.85 a millimetre and columns of 8; paper of 215 mm and any length; V.27ter, V.29 and
/// V.17; T.4 in one and two dimensions, and T.6.
const RESOLUTIONS: c_int = 0x01 | 0x02_0000;
const SIZES: c_int = 0x01 | 0x01_0000;
const MODEMS: c_int = 0x07;
const COMPRESSIONS: c_int = 0x0e;

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        #[expect(non_snake_case, reason = "names of a library in C")]
        struct Functions {
            $(
                // SAFETY: a type has no conditions; whoever calls names them.
                $name: unsafe extern "C" fn($($argument),*) $(-> $answer)?,
            )*
        }

        impl Functions {
            fn find(library: &'static libloading::Library) -> Self {
                Self {
                    $(
                        $name: {
                            // SAFETY: the type is that of the headers, and the library is never closed.
                            let found = unsafe { library.get(stringify!($name).as_bytes()) };
                            *found.unwrap()
                        },
                    )*
                }
            }
        }
    };
}

functions! {
    fax_init(*mut c_void, c_int) -> *mut c_void;
    fax_get_t30_state(*mut c_void) -> *mut c_void;
    fax_set_transmit_on_idle(*mut c_void, c_int);
    fax_rx(*mut c_void, *mut i16, c_int) -> c_int;
    fax_tx(*mut c_void, *mut i16, c_int) -> c_int;
    fax_free(*mut c_void) -> c_int;
    t38_terminal_init(*mut c_void, c_int, OnPacket, *mut c_void) -> *mut c_void;
    t38_terminal_get_t30_state(*mut c_void) -> *mut c_void;
    t38_terminal_get_t38_core_state(*mut c_void) -> *mut c_void;
    t38_terminal_send_timeout(*mut c_void, c_int) -> c_int;
    t38_terminal_free(*mut c_void) -> c_int;
    t38_core_rx_ifp_packet(*mut c_void, *const u8, c_int, u16) -> c_int;
    t38_set_t38_version(*mut c_void, c_int);
    t30_set_tx_file(*mut c_void, *const c_char, c_int, c_int);
    t30_set_rx_file(*mut c_void, *const c_char, c_int);
    t30_set_ecm_capability(*mut c_void, c_int) -> c_int;
    t30_set_supported_modems(*mut c_void, c_int) -> c_int;
    t30_set_supported_compressions(*mut c_void, c_int) -> c_int;
    t30_set_supported_resolutions(*mut c_void, c_int) -> c_int;
    t30_set_supported_image_sizes(*mut c_void, c_int) -> c_int;
    t30_set_phase_e_handler(*mut c_void, OnEnd, *mut c_void);
    t30_get_transfer_statistics(*mut c_void, *mut RawStatistics);
    TIFFOpen(*const c_char, *const c_char) -> *mut c_void;
    TIFFScanlineSize(*mut c_void) -> isize;
    TIFFReadScanline(*mut c_void, *mut u8, u32, u16) -> c_int;
    TIFFSetDirectory(*mut c_void, u16) -> c_int;
    TIFFSetErrorHandler(*const c_void) -> *const c_void;
    TIFFClose(*mut c_void);
}

/// spandsp, and with it libtiff, which it needs itself.
static LIBRARY: LazyLock<Functions> = LazyLock::new(|| {
    // SAFETY: opening spandsp runs nothing that others could notice.
    let library = unsafe { libloading::Library::new(FILE) }.unwrap();
    Functions::find(Box::leak(Box::new(library)))
});

/// What a machine has to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task<'a> {
    /// Call, and send this TIFF file.
    Send(&'a Path),
    /// Answer, and write what comes into this TIFF file.
    Receive(&'a Path),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `T30_ERR_...`; 0 is success. None while it lasts.
    pub(crate) result: Option<c_int>,
    pub(crate) pages: c_int,
    pub(crate) bad_rows: c_int,
}

/// The protocol of a machine, T.30, whatever it speaks over. Part of a state that somebody else frees.
struct T30 {
    state: *mut c_void,
    sends: bool,
    /// Leaked, because spandsp may write there until the end.
    result: &'static Cell<Option<c_int>>,
}

impl T30 {
    /// A machine's protocol with its task.
    ///
    /// # Safety
    /// The state is valid as long as this value.
    unsafe fn set_up(state: *mut c_void, task: Task<'_>, ecm: bool) -> Self {
        let result = &*Box::leak(Box::new(Cell::new(None)));
        let path = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the state is valid, names are copied, and what the handler is given is never freed.
        unsafe {
            match task {
                Task::Send(file) => (LIBRARY.t30_set_tx_file)(state, path(file).as_ptr(), -1, -1),
                Task::Receive(file) => (LIBRARY.t30_set_rx_file)(state, path(file).as_ptr(), -1),
            }
            (LIBRARY.t30_set_ecm_capability)(state, c_int::from(ecm));
            (LIBRARY.t30_set_supported_modems)(state, MODEMS);
            (LIBRARY.t30_set_supported_compressions)(state, COMPRESSIONS);
            (LIBRARY.t30_set_supported_resolutions)(state, RESOLUTIONS);
            (LIBRARY.t30_set_supported_image_sizes)(state, SIZES);
            let to = std::ptr::from_ref(result).cast_mut().cast();
            (LIBRARY.t30_set_phase_e_handler)(state, on_end, to);
        }
        let sends = matches!(task, Task::Send(_));
        Self { state, sends, result }
    }

    fn outcome(&self) -> Outcome {
        let mut raw = RawStatistics::default();
        // SAFETY: the state is valid, and there is room for what is written.
        unsafe { (LIBRARY.t30_get_transfer_statistics)(self.state, &raw mut raw) };
        Outcome {
            result: self.result.get(),
            pages: raw[if self.sends { PAGES_SENT } else { PAGES_RECEIVED }],
            bad_rows: raw[BAD_ROWS],
        }
    }
}

extern "C" fn on_end(_t30: *mut c_void, result: *mut c_void, code: c_int) {
    // SAFETY: it is the cell that was given, which is never freed, and nothing else runs meanwhile.
    unsafe { (*result.cast::<Cell<Option<c_int>>>()).set(Some(code)) };
}

/// A fax machine at a telephone line.
pub(crate) struct Telephone {
    state: NonNull<c_void>,
    t30: T30,
}

impl Telephone {
    pub(crate) fn new(task: Task<'_>, ecm: bool) -> Self {
        let calls = c_int::from(matches!(task, Task::Send(_)));
        // SAFETY: spandsp allocates a state, in which that of T.30 is.
        unsafe {
            let state = NonNull::new((LIBRARY.fax_init)(null_mut(), calls)).unwrap();
            (LIBRARY.fax_set_transmit_on_idle)(state.as_ptr(), 1);
            let t30 = T30::set_up((LIBRARY.fax_get_t30_state)(state.as_ptr()), task, ecm);
            Self { state, t30 }
        }
    }

    pub(crate) fn hear(&mut self, samples: &mut [i16]) {
        // SAFETY: the state is valid, and the pointer and the length are those of a slice.
        unsafe { (LIBRARY.fax_rx)(self.state.as_ptr(), samples.as_mut_ptr(), samples.len() as c_int) };
    }

    pub(crate) fn say(&mut self, samples: &mut [i16]) {
        let length = samples.len() as c_int;
        // SAFETY: as above, and no more is written.
        let said = unsafe { (LIBRARY.fax_tx)(self.state.as_ptr(), samples.as_mut_ptr(), length) };
        samples[said as usize..].fill(0);
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.t30.outcome()
    }
}

impl Drop for Telephone {
    fn drop(&mut self) {
        // SAFETY: nothing uses it after this.
        unsafe { (LIBRARY.fax_free)(self.state.as_ptr()) };
    }
}

/// A fax machine that speaks T.38.
pub(crate) struct Terminal {
    state: NonNull<c_void>,
    core: *mut c_void,
    t30: T30,
    /// From a box; spandsp has a pointer to it.
    sent: *mut Vec<Packet>,
}

impl Terminal {
    pub(crate) fn new(task: Task<'_>, ecm: bool, version: u8) -> Self {
        let calls = c_int::from(matches!(task, Task::Send(_)));
        let sent = Box::into_raw(Box::<Vec<Packet>>::default());
        // SAFETY: spandsp allocates a state, in which the others are; what the handler is given lives longer.
        unsafe {
            let state = (LIBRARY.t38_terminal_init)(null_mut(), calls, on_packet, sent.cast());
            let state = NonNull::new(state).unwrap();
            let core = (LIBRARY.t38_terminal_get_t38_core_state)(state.as_ptr());
            (LIBRARY.t38_set_t38_version)(core, c_int::from(version));
            let t30 = T30::set_up((LIBRARY.t38_terminal_get_t30_state)(state.as_ptr()), task, ecm);
            Self {
                state,
                core,
                t30,
                sent,
            }
        }
    }

    /// Lets the time of samples go by, and returns what is to be sent.
    pub(crate) fn pass(&mut self, samples: usize) -> Vec<Packet> {
        // SAFETY: the state is valid, and nobody has a reference to what was sent while spandsp runs.
        unsafe {
            (LIBRARY.t38_terminal_send_timeout)(self.state.as_ptr(), samples as c_int);
            std::mem::take(&mut *self.sent)
        }
    }

    pub(crate) fn take(&mut self, sequence: u16, ifp: &[u8]) {
        // SAFETY: the core is valid, and the pointer and the length are those of a slice.
        unsafe {
            (LIBRARY.t38_core_rx_ifp_packet)(self.core, ifp.as_ptr(), ifp.len() as c_int, sequence);
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.t30.outcome()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // SAFETY: nothing uses them after this, and spandsp goes first.
        unsafe {
            (LIBRARY.t38_terminal_free)(self.state.as_ptr());
            drop(Box::from_raw(self.sent));
        }
    }
}

extern "C" fn on_packet(
    _: *mut c_void,
    sent: *mut c_void,
    octets: *const u8,
    length: c_int,
    copies: c_int,
) -> c_int {
    // SAFETY: it is what was given, of which nobody has a reference now; and the octets are as many as it says.
    unsafe {
        let ifp = std::slice::from_raw_parts(octets, length as usize).to_vec();
        let copies = copies as u32;
        (*sent.cast::<Vec<Packet>>()).push(Packet { ifp, copies });
    }
    0
}

/// The pages of a TIFF file: rows of octets, whatever they are compressed with.
pub(crate) fn pages(file: &Path) -> Vec<Vec<Vec<u8>>> {
    let name = CString::new(file.to_str().unwrap()).unwrap();
    let mut pages = Vec::new();
    // SAFETY: the file is closed when nothing uses it any more, and a row has the room that libtiff asks for.
    unsafe {
        // To read behind the last row is how its end is found; libtiff would print that.
        (LIBRARY.TIFFSetErrorHandler)(null());
        let tiff = (LIBRARY.TIFFOpen)(name.as_ptr(), c"r".as_ptr());
        assert!(!tiff.is_null(), "{} is no TIFF file", file.display());
        while (LIBRARY.TIFFSetDirectory)(tiff, pages.len() as u16) == 1 {
            let size = (LIBRARY.TIFFScanlineSize)(tiff) as usize;
            let mut rows = Vec::new();
            let mut row = vec![0; size];
            while (LIBRARY.TIFFReadScanline)(tiff, row.as_mut_ptr(), rows.len() as u32, 0) == 1 {
                rows.push(row.clone());
            }
            pages.push(rows);
        }
        (LIBRARY.TIFFClose)(tiff);
    }
    pages
}
