//! Checks of the tree itself: licences, dependency directions, `unsafe`, documents.
//!
//! The readers are here and the rules, as data with the reason beside each, in `tests/tree`. A reader turns a part of the
//! tree (a file, a manifest, cargo's dependency graph, a document) into plain values; a rule turns those into findings,
//! each one sentence that says what is wrong and where.
//!
//! It refuses to build anything, to use the network, and to change a file.
//!
//! **Contract: a rule that finds nothing to look at fails.**
//!
//! ```
//! use viaduct_hygiene::{licence, markdown, rust_source};
//!
//! let allowed = ["MIT".to_owned(), "ISC".to_owned()];
//! assert!(licence::satisfies("ISC AND (Apache-2.0 OR MIT)", &allowed)?);
//! assert!(!licence::satisfies("MIT AND OpenSSL", &allowed)?);
//! assert_eq!(markdown::relative_links("See [how](docs/a.md#top) and [this](https://example.com)."), ["docs/a.md"]);
//! let code = rust_source::code_only("let unsafe_word = \"unsafe\"; // unsafe");
//! assert!(!rust_source::has_word(&code, "unsafe"));
//! # Ok::<(), licence::BadExpression>(())
//! ```

pub mod dependencies;
pub mod licence;
pub mod markdown;
pub mod rust_source;
pub mod tree;
pub mod unsafe_code;
pub mod workspace;
