//! What Lazaret does over real sockets, real files and real clocks.

mod webhook;
