//! The proxies that ours is compared with: Debian's nginx and HAProxy, one process with one thread, connections to
//! the server kept, buffers that hold a whole answer.

use std::process::{Command, Stdio};

use super::process::{Front, Proxy, folder, free_address, write};
use crate::error::{Error, run};
use crate::progress::Progress;

/// A proxy that ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Nginx,
    Haproxy,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// nginx-light has sub_filter, too.
    fn package(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-light",
            Self::Haproxy => "haproxy",
        }
    }

    /// Starts it before a server.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) fn start(self, front: &Front<'_>) -> Result<Proxy, Error> {
        let address = free_address()?;
        match self {
            Self::Nginx => {
                let file = write("nginx.conf", &nginx(front, &address.to_string())?)?;
                Proxy::start("nginx", address, front, Command::new("nginx").arg("-c").arg(file))
            }
            Self::Haproxy => {
                let file = write("haproxy.cfg", &haproxy(front, &address.to_string()))?;
                Proxy::start("haproxy", address, front, Command::new("haproxy").args(["-db", "-f"]).arg(file))
            }
        }
    }
}

/// Those that are there, installed where apt and root allow it. Without them rows have no peer.
pub(super) fn installed(progress: &Progress) -> Vec<Peer> {
    let mut all = vec![Peer::Nginx, Peer::Haproxy];
    all.retain(|peer| {
        if !answers(*peer) {
            progress.step(&format!("installing {}", peer.name()));
            let mut apt = Command::new("apt-get");
            apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).stderr(Stdio::null());
            apt.args(["install", "--yes", "--quiet", "--no-install-recommends", peer.package()]);
            // Whether it worked is asked below.
            let _ = run(&mut apt, "apt-get");
        }
        let there = answers(*peer);
        if !there {
            progress.step(&format!(
                "rows against {} are skipped: Debian package {}",
                peer.name(),
                peer.package()
            ));
        }
        there
    });
    all
}

fn answers(peer: Peer) -> bool {
    let mut version = Command::new(peer.program());
    let version = version.arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn nginx(front: &Front<'_>, address: &str) -> Result<String, Error> {
    let folder = folder()?.display().to_string();
    let upstream = front.upstream;
    let log = if front.access_log { format!("{folder}/nginx-access.log") } else { "off".to_owned() };
    let (tls, certificate) = match front.certificate {
        None => ("", String::new()),
        Some(made) => (
            " ssl",
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;",
                made.certificate.display(),
                made.key.display()
            ),
        ),
    };
    let rewrite = if front.rewrite {
        format!(
            "sub_filter 'http://{upstream}/fhir' 'http://{address}/fhir'; sub_filter_once off; \
             sub_filter_types application/fhir+json;"
        )
    } else {
        String::new()
    };
    Ok(format!(
        "worker_processes 1;\ndaemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n\
         error_log {folder}/nginx-error.log error;\nworker_rlimit_nofile 20000;\n\
         events {{ worker_connections 20000; }}\n\
         http {{\n  access_log {log};\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n  \
         client_body_temp_path {folder};\n  proxy_temp_path {folder};\n  fastcgi_temp_path {folder};\n  \
         uwsgi_temp_path {folder};\n  scgi_temp_path {folder};\n  \
         upstream hapi {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}\n  \
         server {{\n    listen {address}{tls};\n    {certificate}\n    {rewrite}\n    \
         location / {{\n      proxy_pass http://hapi;\n      proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\";\n      proxy_buffers 8 16k;\n      proxy_buffer_size 16k;\n    \
         }}\n  }}\n}}\n"
    ))
}

fn haproxy(front: &Front<'_>, address: &str) -> String {
    let upstream = front.upstream;
    let tls = match front.certificate {
        None => String::new(),
        Some(made) => format!(" ssl crt {} ssl-min-ver TLSv1.3", made.both.display()),
    };
    format!(
        "global\n  nbthread 1\n  maxconn 10500\n  no strict-limits\n  tune.bufsize 65536\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 60s\n  \
         http-reuse always\n\
         frontend clients\n  bind {address}{tls}\n  default_backend hapi\n\
         backend hapi\n  server hapi {upstream} pool-max-conn 128\n"
    )
}
