//! Certificates for servers of the tests, signed by authorities that only the tests know.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::engine::{Project, Ran};

/// An authority (`ca.pem`) and a certificate (`server.pem`, `server.key`) for a host, in a folder of the project.
pub fn make(project: &Project, folder: &str, host: &str) {
    project.write(
        &format!("{folder}/san"),
        &format!("subjectAltName=DNS:{host}\n"),
    );
    let folder = project.folder().join(folder);
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(&folder).args(line.split(' '));
        Ran::of(command).succeeded();
    };
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
    );
    openssl(&format!(
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN={host}"
    ));
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile san",
    );
    // Servers have users of their own in their containers.
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
}

/// rscale trusts the authority of this folder from now on, and no other.
pub fn trust(project: &Project, folder: &str) {
    let path = project.folder().join(folder).join("ca.pem");
    project.set("SSL_CERT_FILE", path.to_str().unwrap());
}
