//! Debian's nginx on loopback, serving one folder: started by the test and stopped by it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    dead_code,
    reason = "test code"
)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// nginx with its own configuration, folder and port; ended by its process, never by name.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    pub url: String,
    _folder: tempfile::TempDir,
}

impl Nginx {
    pub fn serve(root: &Path) -> Self {
        Self::with(root, "")
    }

    /// Serves a ledger's files and passes statements on to the server that takes them, as
    /// docs/formats.md shows it.
    pub fn before(root: &Path, server: &str) -> Self {
        let add = format!("location = /add {{ proxy_pass {server}; client_max_body_size 16k; }}");
        Self::with(root, &add)
    }

    fn with(root: &Path, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{}}\n\
             http {{\n\
               access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
               fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
               server {{ listen 127.0.0.1:{port}; root {};\n\
                 location ~ /\\. {{ return 404; }} location /moved/ {{ return 301 /; }}\n\
                 {more} }}\n\
             }}\n",
            root.display()
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .args([
                "-p",
                folder.path().to_str().unwrap(),
                "-c",
                path.to_str().unwrap(),
            ])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is missing; run tests/install-needs.sh test");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
