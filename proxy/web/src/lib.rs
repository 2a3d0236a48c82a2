//! The pages that the proxy serves, embedded.
