//! Commands in pods over a WebSocket, as kubectl runs them since 1.31.
//! <https://github.com/kubernetes/enhancements/blob/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets/README.md>
//! Older ones use SPDY, which is not spoken here.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a server adds to the key of a handshake (RFC 6455, 1.3).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The channels of `v4.channel.k8s.io` and later, each the first byte of a message.
const STDOUT: u8 = 1;
const ERROR: u8 = 3;
/// The two kinds of frames that are sent, each the last of its message.
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// The protocol to speak, of those that a client offers.
pub fn protocol(offered: &str) -> Option<&'static str> {
    let known = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
    known.into_iter().find(|known| offered.contains(known))
}

/// The answer to the key of a handshake.
pub fn accept(key: &str) -> String {
    let digest = digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{MAGIC}").as_bytes(),
    );
    BASE64_STANDARD.encode(digest)
}

/// Says what a command printed and how it ended.
pub async fn serve(upgraded: Upgraded, exit_code: i32, output: &str) {
    let mut stream = TokioIo::new(upgraded);
    let end = if exit_code == 0 {
        json!({"metadata": {}, "status": "Success"})
    } else {
        json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {exit_code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": exit_code.to_string()}]},
        })
    };
    let mut bytes = Vec::new();
    if !output.is_empty() {
        bytes.extend(frame(BINARY, STDOUT, output.as_bytes()));
    }
    bytes.extend(frame(BINARY, ERROR, end.to_string().as_bytes()));
    // 1000: a normal end.
    bytes.extend([CLOSE, 2, 0x03, 0xe8]);
    if stream.write_all(&bytes).await.is_ok() {
        let _ = stream.flush().await;
        // Whatever the client still has to say; it closes after that.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() + 1;
    let mut bytes = vec![kind];
    match u8::try_from(length) {
        Ok(short) if short < 126 => bytes.push(short),
        _ => {
            bytes.push(126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.push(channel);
    bytes.extend(payload);
    bytes
}
