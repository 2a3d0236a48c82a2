//! A virtual clock and network with scripted phones and browsers.
