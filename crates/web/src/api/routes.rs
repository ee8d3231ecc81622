//! Routes, with what documents them.
//!
//! The document is made from the declarations of the handlers, by builds that are not optimised, and is checked in
//! (`scripts/contracts`). The release serves what is checked in: what makes it would be more than half a megabyte of the program.

use crate::Web;
use axum::{
    Router,
    routing::{MethodFilter, MethodRouter},
};
use utoipa::openapi::HttpMethod;
use utoipa_axum::PathItemExt;
#[cfg(debug_assertions)]
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// Routes of the API.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Web>,
    #[cfg(debug_assertions)]
    documented: OpenApiRouter<Web>,
}

/// The handlers of one path.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) handlers: MethodRouter<Web>,
    #[cfg(debug_assertions)]
    pub(crate) documented: UtoipaMethodRouter<Web>,
}

impl Routes {
    /// No routes.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With those of one path.
    pub(crate) fn routes(self, route: Route) -> Self {
        Self {
            router: self.router.route(&route.path, route.handlers),
            #[cfg(debug_assertions)]
            documented: self.documented.routes(route.documented),
        }
    }

    /// With others.
    pub(crate) fn merge(self, others: Self) -> Self {
        Self {
            router: self.router.merge(others.router),
            #[cfg(debug_assertions)]
            documented: self.documented.merge(others.documented),
        }
    }

    /// All of these below a path.
    pub(crate) fn below(self, path: &str) -> Self {
        Self {
            router: Router::new().nest(path, self.router),
            #[cfg(debug_assertions)]
            documented: OpenApiRouter::new().nest(path, self.documented),
        }
    }

    /// What serves them.
    pub(crate) fn router(self) -> Router<Web> {
        self.router
    }

    /// What documents them.
    #[cfg(debug_assertions)]
    pub(crate) fn documented(self) -> OpenApiRouter<Web> {
        self.documented
    }
}

/// The methods that a handler is declared for.
pub(crate) fn methods(methods: &[HttpMethod]) -> MethodFilter {
    let mut filters = methods.iter().map(PathItemExt::to_method_filter);
    let first = filters.next().unwrap_or(MethodFilter::GET);
    filters.fold(first, MethodFilter::or)
}

/// Handlers of one path, with the methods and the path that `#[utoipa::path]` declares.
macro_rules! routes {
    ($first:ident $(, $more:ident)* $(,)?) => {{
        #[cfg(debug_assertions)]
        let documented = utoipa_axum::routes!($first $(, $more)*);
        utoipa_axum::paste! {
            let path = <[<__path_ $first>] as utoipa::Path>::path();
            let handlers = axum::routing::MethodRouter::new()
                .on($crate::api::routes::methods(&<[<__path_ $first>] as utoipa::Path>::methods()), $first)
                $(.on($crate::api::routes::methods(&<[<__path_ $more>] as utoipa::Path>::methods()), $more))*;
        }
        $crate::api::routes::Route {
            path,
            handlers,
            #[cfg(debug_assertions)]
            documented,
        }
    }};
}
pub(crate) use routes;
