//! Typed settings with diagnostics that name file, line and column.
