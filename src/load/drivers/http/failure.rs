//! What went wrong with a request, as a short class that is counted. Pure.

use std::error::Error;
use std::io::{self, ErrorKind};

/// No whole response within the time limit.
pub const TIMEOUT: &str = "timeout";
/// The server ended the connection before its response was whole.
pub const CLOSED: &str = "connection closed";
/// The server broke the connection.
const RESET: &str = "connection reset";

/// Whether it is the server that ended the connection.
pub fn is_end(class: &str) -> bool {
    [CLOSED, RESET].contains(&class)
}

/// The class of an error of the system, when connecting or later.
pub fn of_io(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset => RESET,
        ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => CLOSED,
        ErrorKind::TimedOut => TIMEOUT,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "host unreachable",
        // Every local port is in use or was a moment ago: connections that are not kept leave theirs behind.
        ErrorKind::AddrNotAvailable => "no free local port",
        // What rustls refuses comes as this.
        ErrorKind::InvalidData => "TLS error",
        // EMFILE and ENFILE have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => "too many open files",
        _ => "connection error",
    }
}

/// The class of an error of the HTTP client.
pub fn of_http(error: &hyper::Error) -> &'static str {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return CLOSED;
    }
    if error.is_timeout() {
        return TIMEOUT;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return of_io(error);
        }
        source = cause.source();
    }
    if error.is_parse() {
        return "malformed response";
    }
    "connection error"
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::of_io;

    #[test]
    fn errors_of_the_system_have_a_class_in_words() {
        for (error, class) in [
            (
                Error::from(ErrorKind::ConnectionRefused),
                "connection refused",
            ),
            (Error::from(ErrorKind::ConnectionReset), "connection reset"),
            (Error::from(ErrorKind::BrokenPipe), "connection closed"),
            (Error::from(ErrorKind::TimedOut), "timeout"),
            (Error::from(ErrorKind::HostUnreachable), "host unreachable"),
            (Error::from_raw_os_error(24), "too many open files"),
            (Error::other("?"), "connection error"),
        ] {
            assert_eq!(of_io(&error), class, "{error}");
        }
    }
}
