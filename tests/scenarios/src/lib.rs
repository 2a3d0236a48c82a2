//! Call stories on the virtual network of `viaduct-sim`: one file a story, under `tests/`.
