//! The listeners: pages and API over TCP, the admin socket, the public listener.

use crate::{Web, api, guard, guest, local, pages};
use axum::{
    Router,
    extract::{DefaultBodyLimit, connect_info::Connected},
    middleware,
    serve::IncomingStream,
};
use std::{io, net::SocketAddr, path::Path};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// Somebody on a network.
    Tcp(SocketAddr),
    /// The owner of the data folder or root, at the admin socket.
    Socket {
        /// Their user id.
        uid: u32,
    },
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::Tcp(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, AdminListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, AdminListener>) -> Self {
        Self::Socket { uid: *stream.remote_addr() }
    }
}

/// Everything: pages, API v1, the U-tec local API, hooks.
pub fn private_router(web: &Web) -> Router {
    around(web, api::router().merge(local::router()).merge(pages::router(web)).merge(guest::router()).merge(api::hooks::router()))
}

/// What may be put on the internet: passes, with what their page is made of, and hooks.
pub fn public_router(web: &Web) -> Router {
    around(web, guest::router().merge(pages::public_assets()).merge(api::hooks::router()))
}

/// API v1 for the admin socket.
pub fn admin_router(web: &Web) -> Router {
    around(web, api::router().merge(local::router()))
}

fn around(web: &Web, routes: Router<Web>) -> Router {
    routes
        .layer(DefaultBodyLimit::max(guard::BODY))
        .layer(middleware::from_fn_with_state(web.clone(), guard::guard))
        .with_state(web.clone())
}

/// A Unix socket that lets in its owner and root, and nobody else.
pub struct AdminListener {
    inner: UnixListener,
    owner: u32,
}

impl AdminListener {
    /// Binds the socket with rights for its owner alone. A socket that nobody listens at is replaced.
    pub fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another doorward uses this data folder"));
            }
            std::fs::remove_file(path)?;
        }
        let inner = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { inner, owner: rustix::process::geteuid().as_raw() })
    }
}

impl axum::serve::Listener for AdminListener {
    type Io = UnixStream;
    type Addr = u32;

    async fn accept(&mut self) -> (UnixStream, u32) {
        loop {
            let Ok((stream, _)) = self.inner.accept().await else {
                // Out of file descriptors: wait for some to be closed.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            match stream.peer_cred().map(|cred| cred.uid()) {
                Ok(uid) if uid == self.owner || uid == 0 => return (stream, uid),
                Ok(uid) => tracing::warn!(uid, "refused at the admin socket: not the owner of the data folder"),
                Err(error) => tracing::warn!(%error, "refused at the admin socket: nobody knows who this is"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<u32> {
        Ok(self.owner)
    }
}
