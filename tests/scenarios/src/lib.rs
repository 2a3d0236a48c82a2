//! Call stories on the virtual network.
