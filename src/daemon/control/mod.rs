//! The control socket: what a request may ask ([`protocol`]), who accepts connections ([`socket`]),
//! and what each request does ([`handlers`]).

pub mod handlers;

pub mod protocol;

pub mod socket;
