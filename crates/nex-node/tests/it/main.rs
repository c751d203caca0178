//! Integration tests of the node as a library.

mod bus;
